"""What linegate adds to the bare engine, and how soon the first verdict is there.

By turns of ten, in one process and with one thread: the bare invoke of a bundle's int8
TFLite model in ai-edge-litert, and the whole way of a 640x480 BGR frame through the line
(trigger, crop, resize, colour, quantization, the same engine, probabilities, vote, verdict) to
the row that goes on record. ``ratio_N`` is the median of the second over the median of the
first, for MobileNetV2 at N pixels; ``96_narrow`` has 0.35 of its width.

Then with all outputs on, as often as a line has parts: thirty times a second one of three, by
turns: the bare invoke, the way to the row, and the same way of a line whose record, gate and MQTT
are told of each part: a broker and the gate's guard on this machine, every part committed to disk.
``paced_N`` and ``told_N`` are the medians of the second and third over that of the first;
``tell_us`` is how long the inspection itself takes to tell them, at most of the networks.

Then ``linegate run`` of the device's environment is started by exec before a network camera
on this machine that shows a part from the start; ``first_verdict_s`` is the median time until
its first verdict is printed, which is after its row is on disk.
"""

import dataclasses
import functools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import __version__
from linegate_runtime.backends import BACKENDS
from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.testing import Belt, MjpegServer
from tests.benchmarks.bench import DEVICE_PYTHON, FOLDER, Result, show_progress, write
from tests.benchmarks.frame_line import FrameLine, ToldLine
from tests.benchmarks.speed_bundles import LARGEST, NETS, SpeedNet, bundle_of
from tests.broker import mosquitto
from tests.gate_run import HEARTBEAT, PIN, pins_in
from tests.record_run import write_config

_SIZE = (480, 640, 3)
_FRAMES = 3
"""As many as the memory shared with the camera's process holds."""

_BLOCK = 10
"""Each turn runs so often in a row, as it does in use, so that neither pays for the other's
having emptied the caches."""

_SECONDS = 20.0
"""For each network."""

_LEAST_ROUNDS = 200
_WARM_UP = 21
_PERIOD_S = 1 / 30
_PACED_TURNS = 1350
_STARTS = 9
_SIDE = 200


@dataclasses.dataclass(frozen=True)
class Timed:
    """Medians in microseconds, of so many rounds."""

    bare: float
    whole: float
    rounds: int

    @property
    def ratio(self) -> float:
        """The whole over the bare engine."""
        return self.whole / self.bare


@dataclasses.dataclass(frozen=True)
class Told:
    """Medians in microseconds, thirty times a second."""

    bare: float
    paced: float
    told: float
    tell: float


def bare(bundle: Bundle) -> Callable[[], None]:
    """Return the engine's invoke on the bundle's model, its input set once, and nothing else."""
    from ai_edge_litert.interpreter import Interpreter

    entry = bundle.manifest.models[0]
    # As the backend opens it, so that both run the same kernels.
    BACKENDS.load("tflite")(entry, bundle.read(entry.file), 1).close()
    interpreter = Interpreter(model_content=bundle.read(entry.file), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    rng = np.random.default_rng(1)
    tensor = rng.integers(-128, 128, details["shape"], np.int8)
    interpreter.set_tensor(details["index"], tensor)
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def compare(net: SpeedNet) -> Timed:
    """Time both by turns."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, _SIZE, np.uint8) for _ in range(_FRAMES)]
    path = bundle_of(net)
    line = FrameLine(path)
    with Bundle.open(path, __version__) as bundle:
        invoke = bare(bundle)
    bare_s: list[float] = []
    whole_s: list[float] = []
    start = time.monotonic()
    while time.monotonic() - start < _SECONDS or len(bare_s) < _LEAST_ROUNDS:
        bare_s += [_seconds(invoke) for _ in range(_BLOCK)]
        judges = [functools.partial(line.judge, frames[n % _FRAMES]) for n in range(_BLOCK)]
        whole_s += [_seconds(judge) for judge in judges]
    bare_s, whole_s = bare_s[_WARM_UP:], whole_s[_WARM_UP:]
    return Timed(
        bare=1e6 * statistics.median(bare_s),
        whole=1e6 * statistics.median(whole_s),
        rounds=len(bare_s),
    )


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare_told(net: SpeedNet, folder: Path) -> Told:
    """Time all three by turns, thirty times a second."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, _SIZE, np.uint8) for _ in range(_FRAMES)]
    path = bundle_of(net)
    plain = FrameLine(path)
    with Bundle.open(path, __version__) as bundle:
        invoke = bare(bundle)
    taken: dict[str, list[float]] = {"bare": [], "paced": [], "told": [], "tell": []}
    with mosquitto(folder) as broker, pins_in(folder):
        sinks: list[dict[str, object]] = [
            {"kind": "mqtt", "address": broker.address},
            {"kind": "gpio", "pin": PIN, "heartbeat_pin": HEARTBEAT},
        ]
        config = load_config(write_config(folder, folder / "told.sqlite", sinks), Overrides())
        told = ToldLine(path, config)
        turns: list[tuple[str, Callable[[UInt8Array], object]]] = [
            ("bare", lambda pixels: invoke()),  # noqa: ARG005 - has its input
            ("paced", plain.judge),
            ("told", told.judge),
        ]
        due = time.monotonic()
        for number in range(_WARM_UP + _PACED_TURNS):
            due += _PERIOD_S
            name, run = turns[number % len(turns)]
            pixels = frames[number % _FRAMES]
            time.sleep(max(0.0, due - time.monotonic()))
            took = _seconds(functools.partial(run, pixels))
            telling = _seconds(told.tell) if name == "told" else 0.0
            if number >= _WARM_UP:
                taken[name].append(took)
            if number >= _WARM_UP and name == "told":
                taken["tell"].append(telling)
        told.close()
    return Told(**{name: 1e6 * statistics.median(times) for name, times in taken.items()})


def first_verdicts(bundle: Path, folder: Path) -> list[float]:
    """Start ``linegate run`` again and again; return the seconds to each first verdict."""
    part: UInt8Array = np.full((_SIDE, _SIDE, 3), 90, np.uint8)
    belt = Belt([part], speed_px=0.02, gap_px=0, lead_px=400)
    folder.mkdir(parents=True, exist_ok=True)
    empty = folder / "empty.png"
    cv2.imwrite(str(empty), belt.empty())
    seconds = []
    for number in range(_STARTS + 1):
        record = folder / "first.sqlite"
        for path in folder.glob("first.sqlite*"):
            path.unlink()
        with MjpegServer(lambda s: belt.frame(round(30 * s))) as camera:
            command = [
                *(str(DEVICE_PYTHON), "-m", "linegate_runtime", "run", str(bundle), "--json"),
                *("--camera", camera.address, "--empty", str(empty), "--record", str(record)),
                *("--parts", "1"),
            ]
            seconds.append(_first_line(command))
        if number == 0:
            seconds.clear()  # probes the model, and warms the disk's caches
    return seconds


def _first_line(command: Sequence[str]) -> float:
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError("expected a verdict, linegate run ended without one")
        return time.perf_counter() - start


def measure() -> Result:
    """Compare every network, then start again and again."""
    cv2.setNumThreads(1)  # as the line does
    timed = {net.key: compare(net) for net in NETS}
    paced = {}
    for net in NETS:
        with tempfile.TemporaryDirectory() as folder:
            paced[net.key] = compare_told(net, Path(folder))
    starts = first_verdicts(bundle_of(LARGEST), FOLDER / "speed")
    rows: list[tuple[str, float, float, float, int]] = [
        (f"MobileNetV2 {key}", one.bare, one.whole, one.ratio, one.rounds)
        for key, one in timed.items()
    ]
    for key, one in paced.items():
        title = f"MobileNetV2 {key}, 30 a second"
        rows.append((title, one.bare, one.paced, one.paced / one.bare, _PACED_TURNS // 3))
        title = f"MobileNetV2 {key}, 30 a second, all told"
        rows.append((title, one.bare, one.told, one.told / one.bare, _PACED_TURNS // 3))
        title = f"MobileNetV2 {key}, telling them"
        rows.append((title, one.bare, one.tell, one.tell / one.bare, _PACED_TURNS // 3))
    return Result(
        name="hotpath",
        protocol=__doc__ or "",
        columns=("model", "bare µs", "whole µs", "ratio", "rounds"),
        rows=rows,
        figures={
            **{f"ratio_{key}": one.ratio for key, one in timed.items()},
            **{f"paced_{key}": one.paced / one.bare for key, one in paced.items()},
            **{f"told_{key}": one.told / one.bare for key, one in paced.items()},
            "tell_us": max(one.tell for one in paced.values()),
            "first_verdict_s": statistics.median(starts),
            "first_verdict_s_max": max(starts),
        },
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
