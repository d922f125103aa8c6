"""TOML files whose mistakes are all named at once, each with its line, key and valid values.

The parser of the standard library keeps no line numbers. They are found when there is
something to complain about: the file is parsed line by line further until the key
appears, so no second parser can disagree with the first.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Size

T = TypeVar("T", bound=msgspec.Struct)
Keys = tuple[str | int, ...]
"""A place in a document: keys of tables, and numbers of entries in arrays from 0."""


@dataclasses.dataclass(frozen=True)
class TomlFile:
    """A parsed file.

    Attributes:
        path: the file; None if there is none and all comes from the command line.
        text: its content.
        document: the same as TOML.
    """

    path: Path | None
    text: str
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> "TomlFile":
        """Read a file; without one the document is empty.

        Raises:
            ConfigError: it cannot be read, or it is no TOML.
        """
        if path is None:
            return cls(None, "", {})
        import tomllib  # noqa: PLC0415 - a line without a file needs none

        try:
            if path.exists() and not path.is_file():
                raise ConfigError(f"{path}: expected a file")
            text = path.read_bytes().decode()
            return cls(path, text, tomllib.loads(text))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: expected a TOML file: {error}") from error
        except RecursionError:
            raise ConfigError(
                f"{path}: expected tables within tables, got hundreds of levels of them"
            ) from None

    @property
    def folder(self) -> Path:
        """What relative paths in the file are relative to."""
        return Path() if self.path is None else self.path.parent

    def line_of(self, keys: Keys) -> int | None:
        """Return the line, from 1, where a key or a table's first key stands; None if nowhere."""
        import tomllib  # noqa: PLC0415

        lines = self.text.splitlines(keepends=True)
        parsed = 0
        for count in range(1, len(lines) + 1):
            try:
                document = tomllib.loads("".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue  # inside a value of several lines
            if _holds(document, keys):
                return parsed + 1
            parsed = count
        return None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a file, perhaps with options of the command line put over it.

    Attributes:
        values: keys and values.
        file: where it stands.
        keys: its place there.
    """

    values: Mapping[str, object]
    file: TomlFile
    keys: Keys

    @property
    def title(self) -> str:
        """What to call it in messages, such as ``[camera]`` or ``[[sink]] 2``."""
        parts: list[str] = []
        for key in self.keys:
            if isinstance(key, int):
                parts[-1] = f"[{parts[-1]}] {key + 1}"
            else:
                parts.append(f"[{key}]")
        return " ".join(parts)

    def problem(self, key: str | None, text: str) -> str:
        """Return a complaint about a key, or about the whole table, with its place."""
        where = self.file.path
        if where is None:
            place = "the command line"
        else:
            line = self.file.line_of(self.keys if key is None else (*self.keys, key))
            line = self.file.line_of(self.keys) if line is None else line
            place = str(where) if line is None else f"{where}, line {line}"
        subject = " ".join(one for one in (self.title, key) if one)
        return f"{place}: {subject}: {text}"

    def child(self, name: str, problems: list[str]) -> "Table":
        """Return the table ``name`` inside this one; an empty one if there is none."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            problems.append(self.problem(name, f"expected a table, got {_kind_of(value)}"))
            value = {}
        return Table(value, self.file, (*self.keys, name))

    def children(self, name: str, problems: list[str]) -> list["Table"]:
        """Return the tables ``[[name]]`` inside this one; one table ``[name]`` counts as well."""
        value = self.values.get(name, [])
        if isinstance(value, dict):
            return [self.child(name, problems)]
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            expected = f"expected tables [[{name}]], got {_kind_of(value)}"
            problems.append(self.problem(name, expected))
            return []
        return [
            Table(one, self.file, (*self.keys, name, number)) for number, one in enumerate(value)
        ]

    def without(self, *names: str) -> "Table":
        """Return the same table with some keys left out."""
        kept = {key: value for key, value in self.values.items() if key not in names}
        return dataclasses.replace(self, values=kept)

    def read(self, type_: type[T], problems: list[str]) -> T | None:
        """Turn the table into its type.

        Args:
            type_: a Struct.
            problems: takes a sentence for each key that is unknown, missing or wrong.

        Returns:
            None if anything was wrong.
        """
        fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
        found = [
            self.problem(key, f"unknown key; valid are: {', '.join(fields) or 'none'}")
            for key in self.values
            if key not in fields
        ]
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in self.values:
                try:
                    values[field.name] = self._convert(self.values[name], field.type)
                except msgspec.ValidationError as error:
                    found.append(self.problem(name, _explain(error, self.values[name], field.type)))
            elif field.required:
                found.append(self.problem(None, f"the key {name!r} is missing"))
        problems += found
        return None if found else type_(**values)

    def _convert(self, value: object, type_: Any) -> Any:
        def resolve(wanted: type, value: object) -> Path:
            if wanted is Path and isinstance(value, str):
                return self.file.folder / value
            raise msgspec.ValidationError("Expected a path between quotes")

        return msgspec.convert(value, type_, dec_hook=resolve)


def refuse(problems: Sequence[str]) -> None:
    """Raise a :class:`ConfigError` that names all problems, if there are any."""
    if len(problems) == 1:
        raise ConfigError(problems[0])
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"{len(problems)} mistakes in the configuration:{lines}")


def _holds(document: object, keys: Keys) -> bool:
    for key in keys:
        if isinstance(key, int):
            if not isinstance(document, list) or key >= len(document):
                return False
            document = document[key]
        else:
            if not isinstance(document, dict) or key not in document:
                return False
            document = document[key]
    return True


def _explain(error: msgspec.ValidationError, value: object, type_: Any) -> str:
    """Return msgspec's message in our words; strings are not repeated, they may be secret."""
    valid = _valid_values(type_)
    if valid:
        is_harmless = isinstance(value, int) or (isinstance(value, str) and value.isidentifier())
        return f"expected one of {', '.join(valid)}" + (f", got {value!r}" if is_harmless else "")
    if _is_size(type_):
        return "expected [WIDTH, HEIGHT] in pixels, each from 1 to 8192"
    message = str(error).replace(" - at `$", " at `")
    message = message[0].lower() + message[1:]
    if isinstance(value, bool | int | float) and "got" not in message:
        message += f", got {str(value).lower() if isinstance(value, bool) else value}"
    return message


def _is_size(type_: Any) -> bool:
    return type_ is Size or Size in typing.get_args(type_)


def _valid_values(type_: Any) -> list[str]:
    """Return what an enum or a list of literals allows; empty for all other types."""
    origin = typing.get_origin(type_)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return [value for one in typing.get_args(type_) for value in _valid_values(one)]
    if origin is typing.Literal:
        return [str(value) for value in typing.get_args(type_)]
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return [str(member.value) for member in type_]
    return []


def _kind_of(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), "a number")
