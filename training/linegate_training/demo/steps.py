"""The demo's steps: each says what it does, is timed, and is skipped when it is done."""

import hashlib
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from linegate_bundle.atomic import write_atomic

T = TypeVar("T")


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step.

    Attributes:
        key: hash of all that the result depends on.
        seconds: how long it took.
        result: what it returned, as JSON.
    """

    key: str
    seconds: float
    result: msgspec.Raw


class Steps:
    """Runs steps in order and remembers in a file which are done.

    A step is done again when the code that it runs, its options, or any step
    before it has changed, or when something that it made is missing.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._done = _read(state)
        self._key = ""
        self.seconds: dict[str, float] = {}

    def run(
        self,
        name: str,
        title: str,
        action: Callable[[], T],
        result_type: type[T],
        *,
        code: Sequence[str],
        options: object,
        outputs: Sequence[Path],
    ) -> T:
        """Run one step, or return what it returned when it was done before.

        Args:
            name: key of the step in the state file and in ``seconds``.
            title: what is printed.
            action: the work.
            result_type: type of its result, for reading it back.
            code: modules and packages that the result depends on.
            options: anything else it depends on; can be written as JSON.
            outputs: files and folders that the step makes.
        """
        self._key = _hash(
            self._key, name, msgspec.json.encode(options).hex(), *map(_code_hash, code)
        )
        before = self._done.get(name)
        if before and before.key == self._key and all(path.exists() for path in outputs):
            sys.stdout.write(f"--> {title}: done already ({before.seconds:.0f} s)\n")
            self.seconds[name] = before.seconds
            return msgspec.json.decode(before.result, type=result_type)
        sys.stdout.write(f"--> {title}\n")
        sys.stdout.flush()
        start = time.monotonic()
        result = action()
        seconds = time.monotonic() - start
        self.seconds[name] = seconds
        self._done[name] = Done(
            key=self._key, seconds=seconds, result=msgspec.Raw(msgspec.json.encode(result))
        )
        write_atomic(self._state, msgspec.json.encode(self._done))
        sys.stdout.write(f"    {name}: {seconds:.1f} s\n")
        return result


def _read(state: Path) -> dict[str, Done]:
    try:
        return msgspec.json.decode(state.read_bytes(), type=dict[str, Done])
    except (OSError, msgspec.DecodeError):
        return {}


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _code_hash(module: str) -> str:
    """Hash the source of a module, or of all modules of a package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
