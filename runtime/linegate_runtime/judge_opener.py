"""Opens a bundle as what a line judges its parts by: engine, policy and stamp."""

import logging
from collections.abc import Callable
from pathlib import Path

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import ConfigError
from linegate_runtime.config import RunConfig
from linegate_runtime.engine_names import AUTO_ENGINE, DEFAULT_ENGINE
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.policy import line_policy
from linegate_runtime.probe import probe

_LOG = logging.getLogger(__name__)

_AUTO_S = 3.0
"""So long a line's start may take longer for timing engines, once for each bundle."""

Engine = tuple[str, int]
"""An engine's name and how many threads one inference may use."""


class JudgeOpener:
    """Opens a line's bundle, at its start and as often as it is exchanged.

    Args:
        path: the bundle.
        config: of the line.
        run: identifies the run.
        allow_looser: let the line be looser than the bundle's policy.
    """

    def __init__(self, path: Path, config: RunConfig, run: str, *, allow_looser: bool) -> None:
        self._path = path
        self._config = config
        self._run = run
        self._allow_looser = allow_looser
        self._vote_frames: int | None = None

    def open(self) -> Judge:
        """Open the bundle before the line starts; an engine ``auto`` may be measured.

        Raises:
            LinegateError: the bundle, the engine or the configuration does not do.
        """
        judge = self._open(self._measured_engine)
        # The triggers are opened for it, and stay so.
        self._vote_frames = judge.policy.decision.vote.frames
        return judge

    def open_beside(self) -> Judge:
        """Open the bundle anew while the line runs; then nothing can be timed beside it."""
        return self._open(self._known_engine)

    def _open(self, choose: Callable[[Bundle], Engine]) -> Judge:
        with Bundle.open(self._path, linegate_runtime.__version__) as bundle:
            self._check_frames(bundle.manifest.policy.vote.frames)
            policy = line_policy(
                bundle.manifest,
                self._config.verdict,
                shown=self._config.most_frames(self._vote_frames),
                allow_looser=self._allow_looser,
            )
            stamp = Stamp.of(self._run, bundle, policy.origin)
            return Judge(self._open_model(bundle, *choose(bundle)), policy, stamp)

    def _check_frames(self, voted: int) -> None:
        """Refuse what a vote over so many frames cannot be made of."""
        frames = self._config.verdict.frames or voted
        opened_for = self._vote_frames
        is_open = self._config.most_frames(1) != self._config.most_frames()
        if opened_for is not None and is_open and frames > opened_for:
            raise ConfigError(
                f"it votes over {frames} frames of a part, and the line's triggers were opened for "
                f"{opened_for}; start the line anew to take it"
            )
        if frames > 1:
            self._config.check_folders(frames)

    def _open_model(self, bundle: Bundle, engine: str, threads: int) -> Model:
        probe(bundle, engine, threads)
        regions = max(len(camera.regions) for camera in self._config.cameras)
        model = Model.open(bundle, engine, threads, batch=regions)
        if self._config.class_maps and not model.has_class_map:
            model.close()
            raise ConfigError(
                f"[record] class_maps: expected a model with a class map, {bundle.path} has none; "
                "leave it out, or export the model anew"
            )
        return model

    def _known_engine(self, bundle: Bundle) -> Engine:
        """Return the engine as configured, or as it was once measured to be best."""
        engine = self._config.engine
        if engine.name != AUTO_ENGINE:
            return engine.name, engine.threads or 1
        from linegate_runtime.bench import recall_proposal  # noqa: PLC0415 - few lines need it

        name, threads = recall_proposal(bundle) or (DEFAULT_ENGINE, 1)
        return name, engine.threads or threads

    def _measured_engine(self, bundle: Bundle) -> Engine:
        """Return the same; what was not measured yet is measured now."""
        if self._config.engine.name == AUTO_ENGINE:
            from linegate_runtime import bench  # noqa: PLC0415 - few lines need it

            if bench.recall_proposal(bundle) is None:
                _LOG.info(
                    "no measurement of this bundle on this machine; timing engines and threads"
                )
                options = bench.BenchOptions(seconds=_AUTO_S, sustained_s=0)
                bench.remember_proposal(bench.measure(bundle, options))
        return self._known_engine(bundle)
