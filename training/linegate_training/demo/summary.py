"""What the demo measured: as a table for people, as JSON for programs."""

import msgspec

from linegate_bundle.manifest import ArtifactAccuracy, Interval, Manifest


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one artifact on the test part; accuracy is of the labels."""

    accuracy: float
    accuracy_95: Interval
    auc: float


class TestFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Float model and both int8 artifacts on the same ``n`` test images."""

    n: int
    float32: Accuracy
    int8_tflite: Accuracy
    int8_onnx: Accuracy
    agreement_tflite_onnx: float


class Milliseconds(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of times."""

    median: float
    p99: float


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the live inspection made of the parts on the belt.

    Attributes:
        parts_shown: parts that crossed the camera's picture.
        parts_judged: parts that got at least one verdict.
        missed: parts without a verdict.
        doubled: parts with more than one verdict, and verdicts on no part.
        agreement_offline: share of parts with the verdict that ``linegate classify``
            gives for the same picture from disk.
        agreement_frames: share of parts with the verdict that ``linegate classify`` and the
            policy's vote give for the same frames, cut out where the part truly was.
        right: good parts accepted and defective ones rejected.
        wrong: defective parts accepted and good ones rejected.
        escapes: defective parts accepted, part of ``wrong``.
        unsure: parts with the verdict unsure.
        latency_ms: from the capture of the deciding frame to the verdict.
        first_verdict_s: from the start of ``linegate run`` to its first verdict, with a
            part in view.
    """

    parts_shown: int
    parts_judged: int
    missed: int
    doubled: int
    agreement_offline: float
    agreement_frames: float
    right: int
    wrong: int
    escapes: int
    unsure: int
    latency_ms: Milliseconds
    first_verdict_s: float


class DeviceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the device's side needs.

    Attributes:
        site_packages_mb: size of its environment's packages, in 10^6 bytes.
        tensorflow: whether TensorFlow is among them.
        peak_memory_mb: largest sum over all processes of ``linegate run`` of their
            proportional set size, in 10^6 bytes.
    """

    site_packages_mb: float
    tensorflow: bool
    peak_memory_mb: float


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Where the results lie."""

    bundle: str
    report: str
    record: str
    verdicts: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of the demo."""

    test: TestFigures
    live: LiveFigures
    device: DeviceFigures
    seconds: dict[str, float]
    files: Files


def test_figures(manifest: Manifest) -> TestFigures:
    """Take the test figures from a bundle's manifest."""
    report = manifest.accuracy
    artifacts = {artifact.artifact: artifact for artifact in report.artifacts}
    return TestFigures(
        n=report.images,
        float32=_accuracy(report.float32),
        int8_tflite=_accuracy(artifacts["model.int8.tflite"]),
        int8_onnx=_accuracy(artifacts["model.int8.onnx"]),
        agreement_tflite_onnx=report.engine_agreement,
    )


def table(summary: Summary) -> str:
    """Return the figures as text for a terminal of 80 columns."""
    test, live, device = summary.test, summary.live, summary.device
    tensorflow = "with" if device.tensorflow else "without"
    lines = [
        f"accuracy on {test.n} test images (95 % interval)      AUC",
        _accuracy_line("float32", test.float32),
        _accuracy_line("int8 TFLite", test.int8_tflite),
        _accuracy_line("int8 ONNX", test.int8_onnx),
        f"  TFLite and ONNX give the same label on {test.agreement_tflite_onnx:.2%} of the images",
        "",
        "live camera",
        f"  parts shown {live.parts_shown}, {_counts(live)}",
        f"  right {live.right}, wrong {live.wrong} (escapes {live.escapes}), unsure {live.unsure}",
        f"  same verdict as offline on {live.agreement_offline:.1%} of the parts",
        f"  same verdict as the same frames give offline on {live.agreement_frames:.1%}",
        f"  capture to verdict: {_milliseconds(live.latency_ms)}",
        f"  start to first verdict: {live.first_verdict_s:.2f} s",
        "",
        "device",
        f"  site-packages {device.site_packages_mb:.0f} MB, {tensorflow} TensorFlow",
        f"  memory of linegate run: {device.peak_memory_mb:.0f} MB at most",
        "",
        "seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in summary.seconds.items()),
        f"report:  {summary.files.report}",
        f"bundle:  {summary.files.bundle}",
        f"record:  {summary.files.record}",
        f"picture: {summary.files.verdicts}",
    ]
    return "\n".join(lines) + "\n"


def _accuracy(artifact: ArtifactAccuracy) -> Accuracy:
    return Accuracy(accuracy=artifact.accuracy, accuracy_95=artifact.accuracy_95, auc=artifact.auc)


def _accuracy_line(name: str, figures: Accuracy) -> str:
    interval = figures.accuracy_95
    return (
        f"  {name:<12} {figures.accuracy:7.2%}  ({interval.low:.2%} to {interval.high:.2%})"
        f"{'':>10}{figures.auc:.4f}"
    )


def _counts(live: LiveFigures) -> str:
    return f"judged {live.parts_judged}, missed {live.missed}, doubled {live.doubled}"


def _milliseconds(times: Milliseconds) -> str:
    return f"median {times.median:.1f} ms, p99 {times.p99:.1f} ms"
