"""The options of a training, as one value."""

import dataclasses
import enum
import re
from pathlib import Path

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import NAME_PATTERN, Colour, Fit, Resize
from linegate_training.data.split import Fractions

IMAGENET = "imagenet"
NO_WEIGHTS = "none"


class ClassWeights(enum.StrEnum):
    """How much an image of each class counts in the loss.

    ``none``: all the same, which gives the best accuracy and true probabilities.
    ``balanced``: inversely to the size of its class, so that a rare class is not
    drowned; probabilities then speak of a world where all classes are equally common.
    """

    NONE = "none"
    BALANCED = "balanced"


class Augmentation(enum.StrEnum):
    """Which views of an image are as good as itself: exact ones, no pixel is resampled."""

    NONE = "none"
    FLIPS = "flips"
    FLIPS_AND_TURNS = "flips_and_turns"


class CorruptImages(enum.StrEnum):
    """What happens when an image file cannot be decoded."""

    REFUSE = "refuse"
    SKIP = "skip"


class ExistingRun(enum.StrEnum):
    """What happens when the run folder is there already."""

    REFUSE = "refuse"
    REPLACE = "replace"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``linegate train`` can be told; None stands for what suits network and data.

    Attributes:
        data: folder of photographs with one sub-folder a class.
        out: the run folder to write.
        name: name of the model, later of its bundle; default: that of the data folder.
        network: name of the network.
        weights: ``imagenet``, ``none``, or the path of a file with weights.
        size: width and height of the network's input in pixels.
        colour: channels of the network's input.
        resize: how images are brought to that size.
        fit: what happens when image and input differ in shape.
        good: classes that are good parts; empty: found by their usual names.
        group_block: so many images that follow each other by file name are a group.
        group_pattern: regular expression whose first group, found in the file name,
            names the group.
        split: ``split.csv`` of another run, to be used again.
        fractions: share of the images that each part of the split gets.
        epochs: most passes over the train part; with 0 only the head is trained.
        batch_size: images a step.
        learning_rate: highest learning rate of the schedule.
        patience: training stops after so many epochs without a better validation loss.
        fine_tune_after: layers after this one are fine-tuned, those up to it stay.
        views: augmented views of each image whose activations are kept for fine-tuning.
        label_smoothing: share of a label that is spread over all classes.
        class_weights: how much an image of each class counts.
        augmentation: which views of an image the training may see.
        seed: of split, initial weights and order; the same gives the same model.
        cache: folder for preprocessed images; default: the user's cache folder.
        corrupt_images: what happens when an image cannot be decoded.
        existing_run: what happens when ``out`` is there already.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """

    data: Path
    out: Path
    name: str | None = None
    network: str = "efficientnet_lite0"
    weights: str | None = None
    size: tuple[int, int] | None = None
    colour: Colour | None = None
    resize: Resize = Resize.AREA_LINEAR_EXACT
    fit: Fit = Fit.STRETCH
    good: tuple[str, ...] = ()
    group_block: int | None = None
    group_pattern: str | None = None
    split: Path | None = None
    fractions: Fractions = dataclasses.field(default_factory=Fractions)
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    patience: int = 5
    fine_tune_after: str | None = None
    views: int = 4
    label_smoothing: float = 0.1
    class_weights: ClassWeights = ClassWeights.NONE
    augmentation: Augmentation | None = None
    seed: int = 0
    cache: Path | None = None
    corrupt_images: CorruptImages = CorruptImages.REFUSE
    existing_run: ExistingRun = ExistingRun.REFUSE

    def __post_init__(self) -> None:
        """Check what can be checked without looking at files."""
        if self.name is not None and not re.fullmatch(NAME_PATTERN, self.name):
            raise ConfigError(
                "expected a name of lower-case letters, digits, '.', '_' and '-' that starts with "
                f"a letter or digit, at most 64 long, got {self.name!r}"
            )
        _check_range("epochs", self.epochs, 0, 10_000)
        _check_range("batch size", self.batch_size, 1, 4096)
        _check_range("patience", self.patience, 1, 10_000)
        _check_range("views", self.views, 1, 8)
        _check_range("seed", self.seed, 0, 2**31 - 1)
        _check_range("group block", self.group_block, 1, 10**9)
        _check_range("label smoothing", self.label_smoothing, 0.0, 0.5)
        _check_range("learning rate", self.learning_rate, 1e-8, 10.0)
        for side in self.size or ():
            _check_range("size", side, 1, 4096)
        if self.group_block is not None and self.group_pattern is not None:
            raise ConfigError("expected a group block or a group pattern, got both")
        if self.split is not None and (self.group_block or self.group_pattern):
            raise ConfigError(
                "a given split says itself what belongs together; give no groups with it"
            )


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"expected a {name} from {low} to {high}, got {value}")
