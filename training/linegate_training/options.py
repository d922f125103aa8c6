"""The options of a training, as one value."""

import dataclasses
import enum
import re
from pathlib import Path

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import NAME_PATTERN, Colour, Fit, Resize
from linegate_training.augment.augmentation import Augmentation
from linegate_training.data.split import Fractions
from linegate_training.data.split_options import NearDuplicates, SplitOptions

IMAGENET = "imagenet"
NO_WEIGHTS = "none"


class Balance(enum.StrEnum):
    """What is done about classes of different size.

    ``none``: nothing, which gives the best accuracy and true probabilities.
    ``weights``: an image counts inversely to the size of its class.
    ``sampling``: every class is shown equally often; a rare image comes several times
    an epoch. With either, a rare class is not drowned, and probabilities speak of a
    world where all classes are equally common.
    """

    NONE = "none"
    WEIGHTS = "weights"
    SAMPLING = "sampling"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What it costs to take an image of class ``truth`` for one of class ``given``."""

    truth: str
    given: str
    cost: float


class Monitor(enum.StrEnum):
    """What decides which epoch's weights are kept, and when the training stops.

    ``loss``: cross-entropy, lowest. ``accuracy``: share of right labels, highest.
    ``auc``: chance that a defect scores higher than a good part, highest. Equal ones are
    decided by the loss.
    """

    LOSS = "loss"
    ACCURACY = "accuracy"
    AUC = "auc"


class Quality(enum.StrEnum):
    """How much time a training may take; what is said otherwise goes before it.

    ``default``: minutes on two processors: few epochs, the last layers fine-tuned on
    activations that were computed once. ``best``: twice the epochs and variants, three
    quarters of the blocks, and a moving average of the weights.
    """

    DEFAULT = "default"
    BEST = "best"


class Precision(enum.StrEnum):
    """Of the arithmetic in training.

    ``auto``: ``mixed`` on a GPU, else ``float32``. ``mixed``: layers compute in bfloat16;
    weights stay float32.
    """

    AUTO = "auto"
    FLOAT32 = "float32"
    MIXED = "mixed"


class Head(enum.StrEnum):
    """What stands between the last map of features and the logits.

    ``published``: what the network's publication has there, such as hidden dense layers.
    ``pooled``: a 1x1 convolution, then global average pooling. It is smaller, and its map
    before the pooling shows where in the image the evidence is. For networks that pool
    before a single dense layer both are the same function, and the second is built.
    """

    PUBLISHED = "published"
    POOLED = "pooled"


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
        data: folder of photographs with one sub-folder a class, or a CSV file.
        out: the run folder to write.
        name: name of the model, later of its bundle; default: that of the data folder.
        network: name of the network, or ``module:function`` of Keras or of one's own.
        alpha: width multiplier, for networks that have one.
        head: what stands between the last map of features and the logits.
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
        near_duplicates: what happens to pictures that look alike.
        new_split: make one also where the data come with one.
        quality: how much time the training may take.
        epochs: most passes over the train part; with 0 only the head is trained.
        batch_size: images a step.
        learning_rate: highest learning rate of the schedule.
        head_rate: the head learns so many times as fast as the other layers.
        weight_decay: decoupled decay of the weights.
        average: so many epochs the moving average of the weights reaches back; 0 is none.
        monitor: which score on the validation part decides.
        patience: training stops after so many epochs without a better score.
        fine_tune_after: layers after this one are fine-tuned, those up to it stay.
        variants: augmented variants of each image whose activations are kept for
            fine-tuning; where fewer fit into memory, fewer.
        label_smoothing: share of a label that is spread over all classes.
        balance: what is done about classes of different size.
        costs: what errors cost; those that are not named cost 1.
        augmentation: how pictures are varied.
        precision: of the arithmetic in training; the model that is saved is float32.
        tensorboard: folder for TensorBoard's event files.
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
    alpha: float | None = None
    head: Head | None = None
    weights: str | None = None
    size: tuple[int, int] | None = None
    colour: Colour | None = None
    resize: Resize = Resize.ROWS_EXACT
    fit: Fit = Fit.STRETCH
    good: tuple[str, ...] = ()
    group_block: int | None = None
    group_pattern: str | None = None
    split: Path | None = None
    fractions: Fractions = dataclasses.field(default_factory=Fractions)
    near_duplicates: NearDuplicates = NearDuplicates.GROUP
    new_split: bool = False
    quality: Quality = Quality.DEFAULT
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    head_rate: float = 1.0
    weight_decay: float = 0.0
    average: float | None = None
    monitor: Monitor = Monitor.LOSS
    patience: int | None = None
    fine_tune_after: str | None = None
    variants: int | None = None
    label_smoothing: float = 0.1
    balance: Balance = Balance.NONE
    costs: tuple[Cost, ...] = ()
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    precision: Precision = Precision.AUTO
    tensorboard: Path | None = None
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
        _check_range("number of variants", self.variants, 1, 64)
        _check_range("head rate", self.head_rate, 1e-3, 1e3)
        _check_range("weight decay", self.weight_decay, 0.0, 1.0)
        _check_range("average", self.average, 0.0, 1000.0)
        _check_range("label smoothing", self.label_smoothing, 0.0, 0.5)
        _check_range("alpha", self.alpha, 0.1, 4.0)
        _check_range("learning rate", self.learning_rate, 1e-8, 10.0)
        for side in self.size or ():
            _check_range("size", side, 1, 4096)
        _ = self.splitting

    @property
    def splitting(self) -> SplitOptions:
        """How the photographs are divided.

        Raises:
            ConfigError: these options are out of range or contradict each other.
        """
        return SplitOptions(
            group_block=self.group_block,
            group_pattern=self.group_pattern,
            split=self.split,
            fractions=self.fractions,
            near_duplicates=self.near_duplicates,
            new_split=self.new_split,
            seed=self.seed,
        )


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"expected a {name} from {low} to {high}, got {value}")
