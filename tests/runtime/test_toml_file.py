"""Where in a TOML file a key stands."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.toml_file import TomlFile

KEYS = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
LINES = st.sampled_from(["1", "true", '"x = [y]"', "[\n  1,\n  2,\n]", "'''\na = 1\n[b]\n'''"])


@given(
    tables=st.dictionaries(
        KEYS, st.dictionaries(KEYS, LINES, min_size=1, max_size=4), min_size=1, max_size=4
    ),
    blanks=st.lists(st.integers(0, 2), min_size=1, max_size=8),
)
def test_every_key_is_found_on_its_line(
    tables: dict[str, dict[str, str]], blanks: list[int]
) -> None:
    lines: list[str] = []
    places: dict[tuple[str, str], int] = {}
    for number, (table, values) in enumerate(tables.items()):
        lines += ["# comment"] * blanks[number % len(blanks)]
        lines.append(f"[{table}]")
        for key, value in values.items():
            places[table, key] = len(lines) + 1
            lines += f"{key} = {value}".split("\n")
    text = "\n".join(lines) + "\n"
    file = TomlFile(Path("x.toml"), text, tomllib.loads(text))
    for keys, line in places.items():
        assert file.line_of(keys) == line
    assert file.line_of(("nosuch",)) is None
