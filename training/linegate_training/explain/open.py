"""Opening what is to be explained: a run folder or a bundle."""

from pathlib import Path

from linegate_bundle.bundle import SUFFIX
from linegate_bundle.errors import ConfigError
from linegate_bundle.native_log import captured_native_log
from linegate_training.explain.source import Source


def open_source(path: Path) -> Source:
    """Open a run folder or a ``.linegate`` file.

    Raises:
        ConfigError: it is neither.
        DataError: the run folder is unfinished or altered.
        BundleError: the bundle is damaged or altered.
        EngineError: the engine refuses the bundle's model.
    """
    if path.is_dir():
        with captured_native_log():  # TensorFlow greets whatever its switches say
            from linegate_training.explain.keras_source import open_run  # noqa: PLC0415 - slow

        return open_run(path)
    if path.suffix == SUFFIX:
        from linegate_training.explain.tflite_source import open_bundle  # noqa: PLC0415 - slow

        return open_bundle(path)
    raise ConfigError(
        f"{path}: expected a run folder as `linegate train` writes it, or a {SUFFIX} file as "
        "`linegate export` writes it"
    )
