"""Joining what belongs together: union-find over names."""

from collections.abc import Iterable


class Clusters:
    """Sets that grow together; each is named by its smallest member."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def find(self, name: str) -> str:
        """Return the name of the set that ``name`` is in."""
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, first: str, second: str) -> None:
        """Make the sets of two names one."""
        first, second = self.find(first), self.find(second)
        self._parent[max(first, second)] = min(first, second)

    def members(self) -> list[tuple[str, ...]]:
        """Return all sets of at least two, sorted."""
        sets: dict[str, list[str]] = {}
        for name in sorted(self._parent):
            sets.setdefault(self.find(name), []).append(name)
        return [tuple(names) for names in sets.values() if len(names) > 1]
