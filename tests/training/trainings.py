"""Trainings of a few seconds, and what they leave."""

from pathlib import Path

from linegate_training.options import TrainOptions


def options(folder: Path, **changes: object) -> TrainOptions:
    """A training of a few seconds."""
    small: dict[str, object] = {
        "data": folder,
        "out": folder.parent / "run",
        "cache": folder.parent / "cache",
        "network": "basic_cnn",
        "size": (16, 16),
        "epochs": 8,
    }
    return TrainOptions(**{**small, **changes})  # type: ignore[arg-type]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fine_tuning(folder: Path, **changes: object) -> TrainOptions:
    weights = str(folder.parent / "weights.keras")
    # Without smoothing the validation loss goes down from the first epoch on.
    given = {"weights": weights, "label_smoothing": 0.0, "learning_rate": 1e-3, **changes}
    return options(folder, **given)
