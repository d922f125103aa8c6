"""Subcommands of ``linegate`` that this package adds."""
