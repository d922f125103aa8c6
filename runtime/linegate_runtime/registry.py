"""Plug-ins by name: what is built in, and what others add through entry points."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from linegate_bundle.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

T = TypeVar("T")


class Registry(Generic[T]):
    """One family of plug-ins; a class is imported when it is asked for, not before.

    Args:
        family: what a member is called in messages, such as ``backend``.
        base: the class that every member derives from.
        builtin: ``module:Class`` by name.
    """

    def __init__(self, family: str, base: type[T], builtin: Mapping[str, str]) -> None:
        self.family = family
        self.group = f"linegate.{family}s"
        self._base = base
        self._builtin = dict(builtin)

    def names(self) -> list[str]:
        """Return all names, built in and added, sorted."""
        return sorted({*self._builtin, *(point.name for point in self._entry_points())})

    def knows(self, name: str) -> bool:
        """Say whether anything is registered as ``name``, without loading it."""
        return name in self._builtin or name in self.names()

    def load(self, name: str) -> type[T]:
        """Return the class registered as ``name``.

        Raises:
            ConfigError: nothing has that name, or what has it is no member of the family.
        """
        target = self._builtin.get(name)
        if target is None:
            added = {point.name: point.value for point in self._entry_points()}
            if name not in added:
                valid = ", ".join(self.names())
                raise ConfigError(f"unknown {self.family} {name!r}; valid are: {valid}")
            target = added[name]
        module, _, attribute = target.partition(":")
        member = getattr(importlib.import_module(module), attribute)
        if not (isinstance(member, type) and issubclass(member, self._base)):
            raise ConfigError(
                f"the {self.family} {name!r} ({target}) must derive from "
                f"{self._base.__module__}.{self._base.__qualname__}"
            )
        return member

    def _entry_points(self) -> "EntryPoints":
        # Slow to import, and a line that uses built-in plug-ins only never asks.
        from importlib.metadata import entry_points  # noqa: PLC0415

        return entry_points(group=self.group)
