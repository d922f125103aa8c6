"""Subcommands of ``linegate`` that export adds."""
