"""How good a training is on crops of DeepPCB, with the data set's own train and test folders.

Protocol: 64 x 64 crops of circuit boards, seven classes (``ok`` and six defects), 9,087 to learn
from and 4,395 to test on. A tenth of the boards of the train folder validates. Both
recipes start from nothing: ``basic_cnn`` as it comes, and ``best``, which is MobileNetV3 small at
96 x 96 in 15 epochs.

Data: Tang, He, Huang and Yang, "Online PCB defect detector on a new PCB defect dataset", 2019,
https://github.com/tangsanli5201/DeepPCB (MIT).
"""

import argparse
from pathlib import Path

from linegate_training.data.split import Fractions
from linegate_training.data.split_options import NearDuplicates
from linegate_training.options import ExistingRun, TrainOptions
from tests.benchmarks.bench import FOLDER, Result, show_progress, write
from tests.benchmarks.deeppcb import unpack
from tests.benchmarks.runs import scores_on_test, train_once

_FRACTIONS = Fractions(train=0.88, validation=0.1, calibration=0.01, test=0.01)
_BOARD = r"^(\d+)_"


def recipes(folder: Path) -> dict[str, TrainOptions]:
    """Return what is trained, by the name of its figure."""
    common = {
        "data": unpack(),
        "good": ("ok",),
        "group_pattern": _BOARD,
        "fractions": _FRACTIONS,
        "near_duplicates": NearDuplicates.IGNORE,
        "cache": folder / "cache",
        "existing_run": ExistingRun.REPLACE,
    }
    return {
        "basic_cnn": TrainOptions(**common, out=folder / "basic_cnn", network="basic_cnn"),  # type: ignore[arg-type]
        "best": TrainOptions(
            **common,  # type: ignore[arg-type]
            out=folder / "best",
            network="mobilenet_v3_small",
            weights="none",
            size=(96, 96),
            epochs=15,
        ),
    }


def measure(folder: Path, names: list[str]) -> Result:
    """Train, or take what an earlier call left."""
    rows, figures = [], {}
    for name, options in recipes(folder).items():
        if name not in names:
            continue
        run, seconds = train_once(options)
        scores = scores_on_test(run)
        rows.append(
            (name, scores.images, scores.accuracy, scores.gate_accuracy, scores.auc, round(seconds))
        )
        figures[f"{name}.accuracy"] = scores.accuracy
    return Result(
        name="training-deeppcb",
        protocol=__doc__ or "",
        columns=("recipe", "test images", "accuracy", "ok or defect", "AUC", "seconds"),
        rows=rows,
        figures=figures,
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["basic_cnn", "best"])
    show_progress()
    folder = FOLDER / "deeppcb"
    folder.mkdir(parents=True, exist_ok=True)
    write(measure(folder, parser.parse_args().recipes))


if __name__ == "__main__":
    _main()
