"""The configuration: what a file may say, what the command line overrides, and errors."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_runtime.config import Overrides, RunConfig, load_config
from linegate_runtime.geometry import Box, Size
from linegate_runtime.sinks.jsonlines import JsonLinesOptions
from linegate_runtime.triggers.continuous import ContinuousOptions
from linegate_runtime.triggers.presence import PresenceOptions

WHOLE = """
[camera]
address = "http://camera/stream.mjpg"
size = [640, 480]
fps = 30
open_timeout_s = 3
read_timeout_s = 1.5

[region]
x = 10
y = 20
width = 600
height = 400

[trigger]
kind = "presence"
empty = "pictures/empty.png"
part_size = [300, 200]
threshold = 30

[engine]
name = "onnx"
threads = 2

[record]
path = "log/record.sqlite"

[[sink]]
kind = "jsonlines"

[[sink]]
kind = "fake"
fail_at = 3
"""


def load(tmp_path: Path, text: str, overrides: Overrides | None = None) -> RunConfig:
    path = tmp_path / "line.toml"
    path.write_text(text)
    return load_config(path, overrides or Overrides())


def test_a_whole_file_is_understood(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    options = config.camera.options
    assert config.camera.source == "mjpeg"
    assert (options.address, options.size) == ("http://camera/stream.mjpg", Size(640, 480))
    assert (options.fps, options.open_timeout_s, options.read_timeout_s) == (30, 3, 1.5)
    assert config.region == Box(10, 20, 600, 400)
    assert (config.engine.name, config.engine.threads) == ("onnx", 2)
    assert [sink.kind for sink in config.sinks] == ["jsonlines", "fake"]


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    assert config.record == tmp_path / "log/record.sqlite"
    options = config.trigger.read_options(PresenceOptions)
    assert options.empty == tmp_path / "pictures/empty.png"
    assert options.part_size == Size(300, 200)


def test_the_least_file_has_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, '[camera]\naddress = "0"\n')
    assert config.camera.source == "opencv"
    assert config.region is None
    assert config.trigger.kind == "presence"
    assert config.trigger.read_options(PresenceOptions) == PresenceOptions()
    assert (config.engine.name, config.engine.threads) == ("tflite", 1)
    assert config.record == tmp_path / "linegate.sqlite"
    assert config.sinks == ()


def test_the_command_line_alone_is_enough(tmp_path: Path) -> None:
    config = load_config(
        None, Overrides(camera="rtsp://camera/1", record=tmp_path / "record.sqlite")
    )
    assert config.camera.options.address == "rtsp://camera/1"
    assert config.record == tmp_path / "record.sqlite"


def test_the_command_line_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(
        tmp_path,
        WHOLE,
        Overrides(
            camera="64x48@30",
            source="fake",
            region=Box(0, 0, 5, 6),
            empty=Path("other.png"),
            part_size=Size(7, 8),
            engine="fake",
            threads=3,
            record=Path("other.sqlite"),
        ),
    )
    assert (config.camera.source, config.camera.options.address) == ("fake", "64x48@30")
    assert config.camera.options.read_timeout_s == 1.5
    assert config.region == Box(0, 0, 5, 6)
    options = config.trigger.read_options(PresenceOptions)
    assert options.empty == tmp_path / "other.png"
    assert (options.part_size, options.threshold) == (Size(7, 8), 30)
    assert (config.engine.name, config.engine.threads) == ("fake", 3)
    assert config.record == tmp_path / "other.sqlite"


def test_another_trigger_does_not_inherit_options(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE, Overrides(trigger="continuous"))
    assert config.trigger.kind == "continuous"
    assert config.trigger.read_options(ContinuousOptions) == ContinuousOptions()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[camera\n", r"line\.toml: expected a TOML file: .*line 1"),
        ("[kamera]\n", r"line\.toml: unknown key 'kamera'; valid are: camera, region, trigger"),
        ('[camera]\nadress = "x"\n', r"\[camera\]: unknown key 'adress'; valid are: address"),
        ("[camera]\nfps = 3\n", r"\[camera\]: expected an address"),
        (
            '[camera]\naddress = "x"\nfsp = 3\n',
            r"\[camera\]: unknown key 'fsp'; valid are: address, source, size, fps",
        ),
        ('[camera]\naddress = "x"\nfps = "fast"\n', r"\[camera\]: .*`float.*`, got `str` at `fps`"),
        ('[camera]\naddress = "x"\nfps = -1\n', r"\[camera\]: .*> 0\.0 at `fps`"),
        ('[camera]\naddress = "x"\nsize = [640]\n', r"\[camera\]: .*at `size`"),
        ("camera = 3\n", r"expected a table \[camera\], got 3"),
        ('[camera]\naddress = "x"\n[region]\nx = 1\n', r"\[region\]: missing required field `y`"),
        (
            '[camera]\naddress = "x"\n[engine]\nthreads = 0\n',
            r"\[engine\]: Expected `int` >= 1 at `threads`",
        ),
        ('[camera]\naddress = "x"\n[trigger]\nkind = 3\n', r'expected kind = "NAME", got 3'),
        ('[camera]\naddress = "x"\n[[sink]]\npath = "y"\n', r"\[\[sink\]\] 1: expected kind"),
        ('[camera]\naddress = "x"\n[sink]\nkind = "y"\n', r"expected tables \[\[sink\]\]"),
        ("", "expected an address; give it here or with --camera"),
    ],
)
def test_errors_name_the_place_and_what_is_valid(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_plug_in_refuses_options_of_another(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[camera]\naddress = "x"\n[trigger]\nkind = "continuous"\nempty = "e.png"\n'
        '[[sink]]\nkind = "jsonlines"\npath = "f"\n',
    )
    with pytest.raises(ConfigError, match=r"continuous: unknown key 'empty'; valid are: frames"):
        config.trigger.read_options(ContinuousOptions)
    with pytest.raises(ConfigError, match=r"jsonlines: unknown key 'path'; valid are: none"):
        config.sinks[0].read_options(JsonLinesOptions)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.toml: cannot be read: No such file"):
        load_config(tmp_path / "nosuch.toml", Overrides())


TOML_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@given(
    table=st.sampled_from(["camera", "region", "trigger", "engine", "record", "sink"]),
    value=TOML_VALUES,
)
def test_no_document_breaks_the_reader(table: str, value: object) -> None:
    from unittest import mock

    document = {"camera": {"address": "x"}, table: value}
    with mock.patch("linegate_runtime.config._read", return_value=document):
        try:
            load_config(Path("line.toml"), Overrides())
        except ConfigError as error:
            assert str(error).startswith("line.toml")  # noqa: PT017 - it need not raise
