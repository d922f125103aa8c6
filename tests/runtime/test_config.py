"""The configuration: what a file may say, what the command line overrides, and errors."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Verdict
from linegate_runtime.capture_protocol import Checks
from linegate_runtime.config import RunConfig
from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.geometry import Box, Size
from linegate_runtime.policy import VerdictOptions
from linegate_runtime.toml_file import TomlFile
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

[verdict]
accept_at_most = 0.1
deadline_s = 0.5
default = "unsure"

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
    options = config.cameras[0].request.options
    assert config.cameras[0].request.source == "mjpeg"
    assert (options.address, options.size) == ("http://camera/stream.mjpg", Size(640, 480))
    assert (options.fps, options.open_timeout_s, options.read_timeout_s) == (30, 3, 1.5)
    assert config.cameras[0].regions[0].box == Box(10, 20, 600, 400)
    assert (config.engine.name, config.engine.threads) == ("onnx", 2)
    assert [sink.kind for sink in config.sinks] == ["jsonlines", "fake"]
    assert config.verdict == VerdictOptions(
        accept_at_most=0.1, deadline_s=0.5, default=Verdict.UNSURE
    )


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    assert config.record == tmp_path / "log/record.sqlite"
    options = config.cameras[0].regions[0].trigger.read_options(PresenceOptions)
    assert options.empty == tmp_path / "pictures/empty.png"
    assert options.part_size == Size(300, 200)


def test_the_least_file_has_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, '[camera]\naddress = "0"\n')
    assert config.cameras[0].request.source == "opencv"
    assert config.cameras[0].regions[0].box is None
    assert config.cameras[0].regions[0].trigger.kind == "presence"
    assert config.cameras[0].regions[0].trigger.read_options(PresenceOptions) == PresenceOptions()
    assert (config.engine.name, config.engine.threads) == ("tflite", None)
    assert config.record == tmp_path / "linegate.sqlite"
    assert config.sinks == ()


def test_the_command_line_alone_is_enough(tmp_path: Path) -> None:
    config = load_config(
        None, Overrides(camera="rtsp://camera/1", record=tmp_path / "record.sqlite")
    )
    assert config.cameras[0].request.options.address == "rtsp://camera/1"
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
    assert (config.cameras[0].request.source, config.cameras[0].request.options.address) == (
        "fake",
        "64x48@30",
    )
    assert config.cameras[0].request.options.read_timeout_s == 1.5
    assert config.cameras[0].regions[0].box == Box(0, 0, 5, 6)
    options = config.cameras[0].regions[0].trigger.read_options(PresenceOptions)
    assert options.empty == tmp_path / "other.png"
    assert (options.part_size, options.threshold) == (Size(7, 8), 30)
    assert (config.engine.name, config.engine.threads) == ("fake", 3)
    assert config.record == tmp_path / "other.sqlite"


def test_another_trigger_does_not_inherit_options(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE, Overrides(trigger="continuous"))
    assert config.cameras[0].regions[0].trigger.kind == "continuous"
    assert (
        config.cameras[0].regions[0].trigger.read_options(ContinuousOptions) == ContinuousOptions()
    )


ONE_REGION = '[[region]]\nx=0\ny=0\nwidth=1\nheight=1\nname="a"\n'

SEVERAL = """
[trigger]
kind = "continuous"

[[camera]]
name = "left"
address = "csi:0"
rotation = 90
exposure_us = 2000
frozen_after_s = 0

[[camera.region]]
name = "top"
x = 0
y = 0
width = 100
height = 50

[[camera.region]]
name = "bottom"
x = 0
y = 50
width = 100
height = 50
[camera.region.trigger]
kind = "fake"

[[camera]]
name = "right"
address = "rtsp://camera/1"
[camera.trigger]
kind = "presence"
part_size = [10, 20]
"""


def test_several_cameras_have_regions_and_triggers_of_their_own(tmp_path: Path) -> None:
    left, right = load(tmp_path, SEVERAL).cameras
    assert (left.name, right.name) == ("left", "right")
    assert [(one.name, one.box, one.trigger.kind) for one in left.regions] == [
        ("top", Box(0, 0, 100, 50), "continuous"),
        ("bottom", Box(0, 50, 100, 50), "fake"),
    ]
    assert [(one.name, one.box, one.trigger.kind) for one in right.regions] == [
        ("", None, "presence")
    ]
    options = left.request.options
    assert (options.rotation, options.exposure_us) == (90, 2000)
    assert left.request.checks == Checks(frozen_after_s=0)
    assert left.request.source == "picamera2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[camera\n", r"line\.toml: expected a TOML file: .*line 1"),
        ("[kamera]\n", r"line 1: kamera: unknown; valid are: bundle, camera, region, trigger"),
        (
            '[camera]\nadress = "x"\n',
            r"line 2: \[camera\] adress: unknown key; valid are: address, size",
        ),
        ("[camera]\nfps = 3\n", r"line 1: \[camera\] address: expected an address"),
        (
            '[camera]\naddress = "x"\n\n# fps\nfps = "fast"\n',
            r"line 5: \[camera\] fps: expected `float .*, got `str`",
        ),
        ('[camera]\naddress = "x"\nfps = -1\n', r"\[camera\] fps: .*> 0\.0, got -1"),
        (
            '[camera]\naddress = "x"\nsize = [640]\n',
            r"line 3: \[camera\] size: expected \[WIDTH, HEIGHT\]",
        ),
        (
            '[camera]\naddress = "x"\nrotation = 45\n',
            r"rotation: expected one of 0, 90, 180, 270, got 45",
        ),
        ("camera = 3\n", r"line 1: camera: expected tables \[\[camera\]\], got a number"),
        (
            '[camera]\naddress = "x"\n[region]\nx = 1\ny = 1\nwidth = 3\n',
            r"line 3: \[region\]: the key 'height' is missing",
        ),
        (
            '[camera]\naddress = "x"\n[engine]\nthreads = 0\n',
            r"line 4: \[engine\] threads: expected `int` >= 1, got 0",
        ),
        (
            '[camera]\naddress = "x"\n[engine]\nname = "magic"\n',
            r"name: unknown engine 'magic'; valid are: auto, fake, onnx, tflite",
        ),
        ('[camera]\naddress = "x"\n[trigger]\nkind = 3\n', r'kind: expected kind = "NAME"'),
        (
            '[camera]\naddress = "x"\n[trigger]\nkind = "magic"\n',
            r"line 4: \[trigger\] kind: unknown trigger 'magic'; valid are: continuous",
        ),
        (
            '[camera]\naddress = "x"\n[[sink]]\nkind = "fake"\n[[sink]]\npath = "y"\n',
            r"line 5: \[\[sink\]\] 2 kind: expected kind",
        ),
        (
            '[camera]\naddress = "x"\n[verdict]\ndefault = "maybe"\n',
            r"default: expected one of accept, reject, unsure, got 'maybe'",
        ),
        (
            '[[camera]]\naddress = "x"\n[[camera]]\naddress = "y"\nname = "a"\n',
            "expected a name for each of several cameras",
        ),
        (
            '[camera]\naddress = "x"\n' + 2 * ONE_REGION,
            "expected a name for each of several regions, all different",
        ),
    ],
)
def test_errors_name_the_place_and_what_is_valid(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_camera_without_an_address_is_said_for_the_command_line_too() -> None:
    expected = r"the command line: \[camera\] address: expected an address; .* --camera"
    with pytest.raises(ConfigError, match=expected):
        load_config(None, Overrides())


def test_all_mistakes_are_named_at_once_those_of_plug_ins_too(tmp_path: Path) -> None:
    text = (
        "[camera]\n"
        'adress = "x"\n'
        "fps = 0\n"
        "[trigger]\n"
        'kind = "continuous"\n'
        "frames = 0\n"
        "[[sink]]\n"
        'kind = "jsonlines"\n'
        "path = 3\n"
        "[engine]\n"
        "threads = 0.5\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith("6 mistakes in the configuration:")
    for line in (1, 2, 3, 6, 9, 11):
        assert f"line.toml, line {line}: " in message


def test_settings_and_regions_are_held_against_the_camera_before_it_is_opened(
    tmp_path: Path,
) -> None:
    text = (
        '[camera]\naddress = "64x48@30"\nsource = "fake"\nsize = [64, 48]\nrotation = 90\n'
        "gain = 2.0\nexposure_us = 100\n"
        "[region]\nx = 0\ny = 0\nwidth = 64\nheight = 48\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 mistakes in the configuration:"
    for line, said in (
        ("line 8: [region]: ", "expected a region inside the camera's 48x64, got 0,0,64,48"),
        ("line 6: [camera] gain: ", "this source cannot set it (it can set none of these)"),
        ("line 7: [camera] exposure_us: ", "this source cannot set it"),
    ):
        assert any(line in one and said in one for one in lines), (line, lines)
    fitting = text.replace("width = 64\nheight = 48", "width = 48\nheight = 64")
    config = load(tmp_path, fitting)
    with pytest.raises(ConfigError, match=r"gain: this source cannot set it"):
        config.check_plugins()


def test_a_plug_in_refuses_options_of_another(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[camera]\naddress = "x"\n[trigger]\nkind = "continuous"\nempty = "e.png"\n'
        '[[sink]]\nkind = "jsonlines"\npath = "f"\n',
    )
    with pytest.raises(ConfigError) as caught:
        config.check_plugins()
    assert "line 5: [trigger] empty: unknown key; valid are: frames" in str(caught.value)
    assert "line 8: [[sink]] 1 path: unknown key; valid are: name" in str(caught.value)


def test_a_secret_of_the_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, '[camera]\naddress = ["http://user:secret@camera/"]\nfps = "secret"\n')
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")


def test_options_of_the_command_line_cannot_mean_one_of_several_cameras(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the file has \[\[camera\]\]"):
        load(tmp_path, SEVERAL, Overrides(camera="0"))


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("camera = []\n", Overrides(), "expected an address"),
        ('region = []\n[camera]\naddress = "x"\n', Overrides(), "expected at least one, got none"),
        (
            '[camera]\naddress = "x"\n[camera.trigger]\nkind = "fake"\n',
            Overrides(trigger="continuous"),
            "means all cameras, some have one of their own",
        ),
        (
            '[trigger]\nkindd = "x"\n[camera]\naddress = "x"\n[camera.trigger]\nkind = "fake"\n',
            Overrides(),
            "is used by no camera",
        ),
        ("x = " + "[" * 3000 + "]" * 3000, Overrides(), "hundreds of levels"),
        (
            '[camera]\naddress = "x"\nrotation = "rtsp://me:secret@camera"\n',
            Overrides(),
            r"expected one of 0, 90, 180, 270$",
        ),
    ],
)
def test_what_would_be_overlooked_is_said(
    tmp_path: Path, text: str, overrides: Overrides, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text, overrides)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.toml: cannot be read: No such file"):
        load_config(tmp_path / "nosuch.toml", Overrides())


TOML_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@given(
    table=st.sampled_from(["camera", "region", "trigger", "engine", "verdict", "record", "sink"]),
    value=TOML_VALUES,
)
def test_no_document_breaks_the_reader(table: str, value: object) -> None:
    from unittest import mock

    file = TomlFile(Path("line.toml"), "", {"camera": {"address": "x"}, table: value})
    with mock.patch.object(TomlFile, "read", return_value=file):
        try:
            load_config(Path("line.toml"), Overrides())
        except ConfigError as error:
            assert "line.toml" in str(error)  # noqa: PT017 - it need not raise
