"""Metrics for Prometheus at ``/metrics``, health with its reasons at ``/healthz``.

Health is 200 while parts can be accepted and every output takes its parts, and 503 else; the
body says why, as JSON.
"""

import http.server
import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Verdict
from linegate_runtime import machine
from linegate_runtime.bounded_server import BoundedServer
from linegate_runtime.line_report import EDGES_MS, Histogram, LineReport

if TYPE_CHECKING:
    from linegate_runtime.outputs_child import Outputs

_MOST_CONNECTIONS = 16
_LIMIT_S = 5.0
"""Who does not take the answer for so long is gone."""

_HELP = {
    "age": "from the capture of the newest frame that voted to the verdict",
    "wait": "from the capture of that frame until the line looked at it",
    "model": "preprocessing and engine of that frame",
    "record": "from the capture of that frame until the part was on disk",
}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What ``/healthz`` answers.

    Attributes:
        status: ``ok`` or ``failing``.
        reasons: why it is failing.
        alarms: what happened and somebody should know, though the line works.
    """

    status: str
    reasons: tuple[str, ...]
    alarms: tuple[str, ...]


def health_of(outputs: "Outputs") -> Health:
    """Return the health of a line and its outputs."""
    report = outputs.report
    reasons = [
        *outputs.state.reasons,
        *(f"output {sink.name}: {sink.problem}" for sink in outputs.sinks if sink.problem),
    ]
    return Health(
        status="failing" if reasons else "ok",
        reasons=tuple(reasons),
        alarms=() if report is None else report.alarms,
    )


class MetricsServer:
    """Serves until it is closed.

    Args:
        host, port: where.
        outputs: what is told of.

    Raises:
        ConfigError: the port is taken, or prometheus-client is missing.
    """

    def __init__(self, host: str, port: int, outputs: "Outputs") -> None:
        try:
            self._core: Any = importlib.import_module("prometheus_client.core")
            self._exposition: Any = importlib.import_module("prometheus_client.exposition")
        except ImportError as error:
            raise ConfigError(
                "[metrics] needs prometheus-client: pip install 'linegate-runtime[metrics]' "
                f"({error})"
            ) from error
        self._outputs = outputs
        try:
            self._server = _Server((host, port), _Handler, _MOST_CONNECTIONS)
        except OSError as error:
            raise ConfigError(
                f"[metrics] listen: {host}:{port} cannot be served: {error.strerror or error}; "
                "choose another"
            ) from error
        self._server.answer = self._answer
        self._server.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.stop()

    def _answer(self, path: str) -> tuple[int, str, bytes] | None:
        if path == "/healthz":
            health = health_of(self._outputs)
            status = 200 if health.status == "ok" else 503
            return status, "application/json", msgspec.json.encode(health)
        if path == "/metrics":
            text: bytes = self._exposition.generate_latest(_Collector(self._core, self._outputs))
            return 200, str(self._exposition.CONTENT_TYPE_LATEST), text
        return None


class _Collector:
    """Turns what is known at this moment into metrics."""

    def __init__(self, core: Any, outputs: "Outputs") -> None:
        self._core = core
        self._outputs = outputs

    def collect(self) -> Iterator[Any]:
        """Return the metric families, as prometheus-client asks for them."""
        report = self._outputs.report
        yield self._gauge("linegate_ready", "1 if parts can be accepted", self._is_ready)
        yield from self._of_sinks()
        yield from self._of_machine(report)
        if report is not None:
            yield from self._of_parts(report)
            yield from self._of_cameras(report)

    @property
    def _is_ready(self) -> float:
        return float(self._outputs.state.is_ready)

    def _of_parts(self, report: LineReport) -> Iterator[Any]:
        verdicts = self._core.CounterMetricFamily(
            "linegate_parts", "Parts by verdict", labels=["verdict"]
        )
        for verdict in Verdict:
            verdicts.add_metric([verdict.value], report.state.parts.get(verdict, 0))
        yield verdicts
        reasons = self._core.CounterMetricFamily(
            "linegate_verdict_reasons", "Parts by why they have their verdict", labels=["reason"]
        )
        for reason, count in report.reasons.items():
            reasons.add_metric([reason], count)
        yield reasons
        unseen = self._core.CounterMetricFamily(
            "linegate_parts_unseen", "Parts that passed without being wholly in view"
        )
        unseen.add_metric([], report.unseen)
        yield unseen
        yield self._gauge("linegate_unrecorded", "Parts that wait for disk", report.unrecorded)
        yield self._gauge("linegate_alarms", "Things somebody should know", len(report.alarms))
        name, version, sha256 = report.bundle
        bundle = self._core.GaugeMetricFamily(
            "linegate_bundle_info", "What judges", labels=["name", "version", "sha256"]
        )
        bundle.add_metric([name, version, sha256], 1)
        yield bundle
        for stage, histogram in report.durations.items():
            yield self._histogram(stage, histogram)

    def _of_cameras(self, report: LineReport) -> Iterator[Any]:
        counters = {
            "frames": "Frames taken",
            "restarts": "Starts of the camera's process after the first",
            "stale": "Frames dropped because they were too old",
            "repeated": "Frames dropped because they were the same picture again",
            "black": "Frames dropped because they were black",
        }
        for field, text in counters.items():
            family = self._core.CounterMetricFamily(
                f"linegate_camera_{field}", text, labels=["camera"]
            )
            for camera in report.cameras:
                family.add_metric([camera.name], getattr(camera, field))
            yield family
        age = self._core.GaugeMetricFamily(
            "linegate_camera_frame_age_seconds", "Since the newest frame", labels=["camera"]
        )
        for camera in report.cameras:
            if camera.frame_age_ms is not None:
                age.add_metric([camera.name], camera.frame_age_ms / 1000)
        yield age

    def _of_sinks(self) -> Iterator[Any]:
        waiting = self._core.GaugeMetricFamily(
            "linegate_outbox_parts", "Parts that an output has not got yet", labels=["output"]
        )
        up = self._core.GaugeMetricFamily(
            "linegate_output_up", "1 if an output takes its parts", labels=["output"]
        )
        for sink in self._outputs.sinks:
            waiting.add_metric([sink.name], sink.waiting)
            up.add_metric([sink.name], float(sink.problem is None))
        yield waiting
        yield up

    def _of_machine(self, report: LineReport | None) -> Iterator[Any]:
        temperature = machine.temperature_c()
        if temperature is not None:
            text = "Hottest sensor"
            yield self._gauge("linegate_temperature_celsius", text, temperature)
        throttled = machine.throttling()
        if throttled is not None:
            text = "1 if the processor is slowed down now"
            yield self._gauge("linegate_throttled", text, float(bool(throttled.now)))
        if report is not None:
            free = shutil.disk_usage(Path(report.record).parent).free
            yield self._gauge("linegate_disk_free_bytes", "Room beside the record", free)

    def _gauge(self, name: str, text: str, value: float) -> Any:
        return self._core.GaugeMetricFamily(name, text, value=value)

    def _histogram(self, stage: str, histogram: Histogram) -> Any:
        family = self._core.HistogramMetricFamily(
            f"linegate_{stage}_seconds", f"Duration {_HELP[stage]}"
        )
        total, buckets = 0, []
        for edge_ms, count in zip((*EDGES_MS, None), histogram.counts, strict=True):
            total += count
            buckets.append(("+Inf" if edge_ms is None else str(edge_ms / 1000), total))
        family.add_metric([], buckets=buckets, sum_value=histogram.sum_ms / 1000)
        return family


class _Server(BoundedServer):
    answer: Callable[[str], tuple[int, str, bytes] | None]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = _LIMIT_S

    def do_GET(self) -> None:
        """Answer."""
        answer = self.server.answer(self.path.partition("?")[0])
        if answer is None:
            self.send_error(404, "expected /metrics or /healthz")
            return
        status, kind, content = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; the base class would write each request to stderr."""
