"""The subcommands that training adds to ``linegate``."""
