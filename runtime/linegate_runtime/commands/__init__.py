"""The subcommands of ``linegate`` that every device has, one file each."""
