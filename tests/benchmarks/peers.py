"""linegate's hot path against what somebody would take instead, on the same frames and files.

Every peer takes a 640x480 BGR uint8 frame to a verdict, in a process of its own and with one
thread: linegate to the row that goes on record (trigger, region, resize, colour, engine,
policy), the others to a probability held against the same thresholds. MobileNetV2 at 96 and at
224 pixels, full width, int8, exported by linegate; MediaPipe gets linegate's file
for other programs, cv2.dnn the float32 ONNX model, for it runs none of the int8 files. One
peer, the bare engine, is no way to a verdict: only its invoke counts, and it is the bound.

All processes are alive at once, and each in turn judges some frames while the others wait; the
order moves on each round, so that all meet the same disturbances. The first frames of a turn
do not count. ``PEER.ratio_N`` is the median over the rounds of the peer's median time over
linegate's in the same round; above 1 linegate is faster. ``start_s`` is the time from exec to
the first verdict and ``pss_mb`` the memory after some more, one frame included (PSS, 10^6
bytes), both with the net of 224 pixels, no other peer alive, medians of several starts after
one that warms the disk.

Verdicts are compared with linegate's on frames that a net was taught to tell apart, as they
are and at the net's own size, where resizing cannot differ (``verdicts_N`` is the share alike
of the latter). A peer that differs by more than rounding explains is marked in the table.
"""

import contextlib
import dataclasses
import platform
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.atomic import write_atomic
from tests.benchmarks import peers_models
from tests.benchmarks.bench import FOLDER, Result, show_progress, write
from tests.benchmarks.peers_drive import (
    Agreement,
    Contender,
    Footprint,
    PeerError,
    Timing,
    Worker,
    compare_answers,
    measure_footprint,
    time_by_turns,
)
from tests.benchmarks.speed_bundles import NETS

_LINEGATE = "linegate"
_CONTENDERS = (
    Contender(_LINEGATE, "linegate, frame to row", "device", "linegate-runtime"),
    Contender("bare_litert", "ai-edge-litert, invoke alone", "device", "ai-edge-litert"),
    Contender("litert_loop", "ai-edge-litert, loop by hand", "device", "ai-edge-litert"),
    Contender("onnxruntime", "onnxruntime, exact sums", "device", "onnxruntime"),
    Contender("onnxruntime_default", "onnxruntime, as it comes", "device", "onnxruntime"),
    Contender("openvino", "OpenVINO, as it comes", "openvino", "openvino"),
    Contender("openvino_float", "OpenVINO, int8 in float32", "openvino", "openvino"),
    Contender("mediapipe", "MediaPipe ImageClassifier", "mediapipe", "mediapipe"),
    Contender("cv2_dnn", "cv2.dnn, float32", "device", "opencv-python-headless"),
    Contender("tflite_runtime", "tflite-runtime, loop by hand", "device-old", "tflite-runtime"),
)
_LEFT_OUT = {
    "Ultralytics classify": "8.4.190 with all it needs is a download of 3.2 GB from the ordinary "
    "package index, for its PyTorch 2.14.1 comes with CUDA; measured, not installed",
}
_NETS = tuple(net for net in NETS if net.key in {"96", "224"})
_FOOTPRINT_NET = "224"

_SECONDS = 60.0
"""For the turns of each net."""

_FRAMES, _SKIPPED = 10, 3
"""Of a turn."""

_ONE_THREAD = 1.1
"""Largest time of the processor over time of the clock."""

_KERNELS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")
"""What decides how fast int8 is, as the kernel of Linux calls it."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A peer with a net.

    Attributes:
        net: key of the net.
        timing: its turns.
        ratio: its time over linegate's.
        agreement: its answers beside linegate's.
        version: of its package.
    """

    net: str
    timing: Timing
    ratio: float
    agreement: Agreement
    version: str


@dataclasses.dataclass(frozen=True)
class Peers:
    """All that was measured, by key of the contender.

    Attributes:
        times: one a net.
        footprints: with the net of :data:`_FOOTPRINT_NET`.
        left_out: why, by title.
    """

    times: dict[str, list[Measured]]
    footprints: dict[str, Footprint]
    left_out: dict[str, str]


def measure(folder: Path) -> Peers:
    """Make the files, then measure each peer alone and all by turns."""
    peers_models.write_frames(folder)
    for net in _NETS:
        peers_models.write_models(net, folder / net.key)
    left_out = dict(_LEFT_OUT)
    footprints = {}
    for contender in _CONTENDERS:
        if not contender.python.exists():
            left_out[contender.title] = f"{contender.package} cannot be installed here"
            continue
        try:
            footprint = measure_footprint(contender, folder / _FOOTPRINT_NET)
        except PeerError as error:
            left_out[contender.title] = f"it failed: {error}"
            continue
        footprints[contender.key] = footprint
    present = [one for one in _CONTENDERS if one.key in footprints]
    times: dict[str, list[Measured]] = {one.key: [] for one in present}
    for net in _NETS:
        for key, measured in _measure_net(net.key, folder / net.key, present).items():
            times[key].append(measured)
    return Peers(times, footprints, left_out)


def _measure_net(net: str, folder: Path, present: Sequence[Contender]) -> dict[str, Measured]:
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(one, folder)) for one in present]
        (linegate,) = [one for one in workers if one.contender.key == _LINEGATE]
        agreements = [compare_answers(worker, linegate) for worker in workers]
        versions = [worker.ask(f"version {worker.contender.package}") for worker in workers]
        timings = time_by_turns(workers, _SECONDS, _FRAMES, _SKIPPED)
    return {
        contender.key: Measured(
            net=net,
            timing=timings[contender.key],
            ratio=timings[contender.key].over(timings[_LINEGATE]),
            agreement=agreement,
            version=version,
        )
        for contender, agreement, version in zip(present, agreements, versions, strict=True)
    }


def result(peers: Peers) -> Result:
    """Return the table and the figures."""
    titles = {one.key: one.title for one in _CONTENDERS}
    rows = [
        (titles[key], one.version, one.net, f"{one.timing.median_ms:.3f}", f"{one.ratio:.2f}",
         *_footprint_cells(peers, key, one.net), _verdicts(one.agreement), _remark(one))
        for key, measured in peers.times.items()
        for one in measured
    ]  # fmt: skip
    rows += [(title, "", "", "", "", "", "", "", why) for title, why in peers.left_out.items()]
    return Result(
        name="peers",
        protocol=f"{__doc__}\nProcessor: {_processor()}.",
        columns=("peer", "version", "net", "ms", "ratio", "start s", "MB", "alike", "remark"),
        rows=rows,
        figures=_figures(peers),
    )


def _figures(peers: Peers) -> dict[str, float]:
    figures: dict[str, float] = {}
    for key, measured in peers.times.items():
        for one in measured:
            figures[f"{key}.ms_{one.net}"] = one.timing.median_ms
            figures[f"{key}.ratio_{one.net}"] = one.ratio
            figures[f"{key}.verdicts_{one.net}"] = one.agreement.same_pixels / one.agreement.frames
            figures[f"{key}.processor_{one.net}"] = one.timing.processor
        figures[f"{key}.start_s"] = peers.footprints[key].start_s
        figures[f"{key}.pss_mb"] = peers.footprints[key].memory_mb
    return figures


def _footprint_cells(peers: Peers, key: str, net: str) -> tuple[str, str]:
    if net != _FOOTPRINT_NET:
        return "", ""
    footprint = peers.footprints[key]
    return f"{footprint.start_s:.2f}", f"{footprint.memory_mb:.0f}"


def _verdicts(agreement: Agreement) -> str:
    """Return how many verdicts are linegate's: on the frames, and on equal pixels."""
    return f"{agreement.same}, {agreement.same_pixels} of {agreement.frames}"


def _remark(one: Measured) -> str:
    remarks = []
    if not one.agreement.agrees:
        difference = one.agreement.difference
        remarks.append(f"DISAGREES: median difference of the probability {difference:.3f}")
    if one.timing.processor > _ONE_THREAD:
        remarks.append(f"MORE THREADS THAN ONE: {one.timing.processor:.2f} of the clock's time")
    return "; ".join(remarks)


def markdown(peers: Peers) -> str:
    """Return the table for a README, one row a peer."""
    nets = [net.key for net in _NETS]
    lines = [
        "| | version | " + " | ".join(f"{net}: ms (ratio)" for net in nets)
        + " | start s | MB | verdicts alike |",
        "|---|---|" + "---:|" * (len(nets) + 2) + "---|",
    ]  # fmt: skip
    for contender in _CONTENDERS:
        measured = peers.times.get(contender.key)
        if measured is None:
            continue
        footprint = peers.footprints[contender.key]
        cells = [
            contender.title,
            measured[0].version,
            *(f"{one.timing.median_ms:.2f} ({one.ratio:.2f})" for one in measured),
            f"{footprint.start_s:.2f}",
            f"{footprint.memory_mb:.0f}",
            "; ".join(f"{one.agreement.same_pixels}/{one.agreement.frames}" for one in measured)
            + ("" if all(one.agreement.agrees for one in measured) else " **disagrees**"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Measured on {_processor()}; one thread each."]
    lines += [f"Left out: {title}: {why}." for title, why in peers.left_out.items()]
    return "\n".join([*lines, ""])


def _processor() -> str:
    """Return its name, and which of the instructions that count it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {
        name.strip(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }
    flags = facts.get("flags", "").split()
    present = [one for one in _KERNELS if one in flags]
    name = facts.get("model name", platform.machine())
    return f"{name} with {', '.join(present) or 'none'} of {', '.join(_KERNELS)}"


def _main() -> None:
    show_progress()
    peers = measure((FOLDER / "peers").resolve())
    write(result(peers))
    write_atomic(FOLDER / "peers.md", markdown(peers).encode())


if __name__ == "__main__":
    _main()
