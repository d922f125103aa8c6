"""The types of ``manifest.json``: the contract between workstation and device.

Every type refuses unknown and missing fields. What types alone cannot say is checked
by :func:`linegate_bundle.manifest_file.decode_manifest`.
"""

import enum
from typing import Annotated

import msgspec

from linegate_bundle.errors import BundleError

SCHEMA_VERSION = 1
"""Version of the manifest that this package writes and reads."""

LOGITS = "logits"
"""Signature name of the output that holds one value a label before the activation."""

CLASS_MAP = "class_map"
"""Signature name of the logits before pooling, one map a logit: where they speak for what."""

EMBEDDING = "embedding"
"""Signature name of the pooled features that the logits are made of."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
VERSION_PATTERN = r"^[0-9]+\.[0-9]+\.[0-9]+$"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
PixelCount = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all types that are written to a file: no field may lack, none be unknown."""


class Role(enum.StrEnum):
    """What a label means for the line."""

    GOOD = "good"
    DEFECT = "defect"


class Colour(enum.StrEnum):
    """Channels of the model's input, in order."""

    RGB = "rgb"
    GRAY = "gray"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self is Colour.GRAY else 3


class Resize(enum.StrEnum):
    """How an image is brought to the model's size.

    All give the same bytes on every processor. ``linear_exact`` is OpenCV's bit-exact
    bilinear method. The others do something else where the image is at least twice as wide
    and high as the input: ``rows_exact`` leaves out rows that the input has no room for
    before it does the same, which is twice as fast (images more than eight times as large
    are halved first). ``area_linear_exact`` averages whole blocks of pixels, so that no
    fine pattern can alias; what is left of them at the edges is left out.
    """

    ROWS_EXACT = "rows_exact"
    LINEAR_EXACT = "linear_exact"
    AREA_LINEAR_EXACT = "area_linear_exact"


class Fit(enum.StrEnum):
    """What happens when the image and the input differ in shape."""

    STRETCH = "stretch"
    LETTERBOX = "letterbox"


class Activation(enum.StrEnum):
    """How logits become probabilities.

    ``sigmoid``: one logit, two labels; it gives the probability of the second
    label. ``softmax``: one logit a label.
    """

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class ModelFormat(enum.StrEnum):
    """File format of a model."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(enum.StrEnum):
    """Arithmetic of a model; with ``float16`` only the weights are, and float32 is computed."""

    INT8 = "int8"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


class DType(enum.StrEnum):
    """Element type of a model's input or output."""

    INT8 = "int8"
    UINT8 = "uint8"
    FLOAT32 = "float32"


class VoteMethod(enum.StrEnum):
    """How the frames of one part become one verdict.

    ``mean_log_odds``: the mean of the frames' log-odds is judged. ``k_of_n``: each frame is
    judged, and so many frames are needed for a verdict.
    """

    MEAN_LOG_ODDS = "mean_log_odds"
    K_OF_N = "k_of_n"


class Verdict(enum.StrEnum):
    """What happens to a part."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"


class Label(Schema, frozen=True):
    """A class of the model and its meaning for the line."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    role: Role


class Region(Schema, frozen=True):
    """A rectangle in fractions of the frame's width and height; the origin is top left."""

    x: Fraction
    y: Fraction
    width: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
    height: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]


class PreprocessSpec(Schema, frozen=True):
    """How a BGR uint8 frame becomes the model's input; sizes in pixels."""

    colour: Colour
    region: Region | None
    width: PixelCount
    height: PixelCount
    resize: Resize
    fit: Fit

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape ``(height, width, channels)`` of the preprocessed image."""
        return (self.height, self.width, self.colour.channels)


class Quantization(Schema, frozen=True):
    """Affine quantization of one tensor: ``real = scale * (stored - zero_point)``."""

    scale: Annotated[float, msgspec.Meta(gt=0.0)]
    zero_point: Annotated[int, msgspec.Meta(ge=-128, le=255)]


class TensorSpec(Schema, frozen=True):
    """An input or output of a model; the first dimension is a batch of one."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None


class Engine(Schema, frozen=True):
    """What ran a model: engine, its version, and the kernels it used."""

    name: str
    version: str
    kernel: str


class ModelEntry(Schema, frozen=True):
    """One model file of the bundle."""

    file: str
    format: ModelFormat
    precision: Precision
    engine: Engine
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]

    def output(self, name: str) -> TensorSpec:
        """Return the output called ``name``; raise :class:`BundleError` if there is none."""
        for tensor in self.outputs:
            if tensor.name == name:
                return tensor
        present = [tensor.name for tensor in self.outputs]
        raise BundleError(f"{self.file}: expected an output {name!r}, the manifest lists {present}")


class VotePolicy(Schema, frozen=True):
    """How many frames of a part are combined, and how.

    Attributes:
        method: how.
        frames: how many a part's verdict takes.
        needed: with ``k_of_n`` so many of them reject a part, at most ``frames``; None with
            another method.
    """

    method: VoteMethod
    frames: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    needed: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None


class DecisionPolicy(Schema, frozen=True):
    """Thresholds on the probability that a part is defective.

    At or below ``accept_at_most`` a part is accepted, at or above
    ``reject_at_least`` it is rejected, between them it is unsure.
    """

    accept_at_most: Fraction
    reject_at_least: Fraction
    vote: VotePolicy


class Interval(Schema, frozen=True):
    """A two-sided 95 % confidence interval."""

    low: float
    high: float


class ArtifactAccuracy(Schema, frozen=True):
    """What one artifact reached on the test part, image by image.

    ``escapes`` are defects with the verdict accept, ``false_rejects`` good
    images with the verdict reject, both by the bundle's policy.
    """

    artifact: str
    accuracy: Fraction
    accuracy_95: Interval
    auc: Fraction
    escapes: int
    false_rejects: int
    unsure: int
    agreement_with_float: Fraction


class AccuracyReport(Schema, frozen=True):
    """Accuracy of the float model and of every artifact on the same test images."""

    images: int
    defects: int
    float32: ArtifactAccuracy
    artifacts: tuple[ArtifactAccuracy, ...]
    engine_agreement: Fraction


class Risk(enum.StrEnum):
    """What can go wrong with a verdict.

    ``escape``: a defect with the verdict accept. ``false_reject``: a good picture with the
    verdict reject.
    """

    ESCAPE = "escape"
    FALSE_REJECT = "false_reject"


class Guarantee(Schema, frozen=True):
    """One proven rate: the true one is at most ``target``, with ``confidence``.

    Attributes:
        risk: whose rate.
        label: of the pictures that were counted; None counts all of the risk's role.
        target: the rate that is proven.
        confidence: probability that a calibration part gives no false proof.
        pictures: how many were counted, of each group one.
        errors: how many of them went wrong at the bundle's thresholds.
        p_value: chance of so few errors if the true rate were ``target``.
    """

    risk: Risk
    label: str | None
    target: Fraction
    confidence: Fraction
    pictures: Annotated[int, msgspec.Meta(ge=1)]
    errors: Annotated[int, msgspec.Meta(ge=0)]
    p_value: Fraction


class Certificate(Schema, frozen=True):
    """What is proven about the thresholds, and on which pictures.

    It holds for pictures that are exchangeable with those of the calibration part, each
    judged on its own, and for each guarantee by itself.

    Attributes:
        guarantees: what is proven; at least one.
        model: file of the model that the pictures were judged with.
        engine: that ran it.
        data_sha256: over path, label and content of every picture of the calibration part.
        pictures: in the calibration part.
        groups: among them; pictures of one group are alike, so of each one is counted.
    """

    guarantees: Annotated[tuple[Guarantee, ...], msgspec.Meta(min_length=1)]
    model: str
    engine: Engine
    data_sha256: Sha256
    pictures: Annotated[int, msgspec.Meta(ge=1)]
    groups: Annotated[int, msgspec.Meta(ge=1)]


class GoldenOutput(Schema, frozen=True):
    """The logits that one model gave for a golden frame, and how close others must come.

    ``tolerance`` is the largest allowed difference of any logit.
    """

    file: str
    engine: Engine
    logits: tuple[float, ...]
    tolerance: Annotated[float, msgspec.Meta(ge=0.0)]


class GoldenFrame(Schema, frozen=True):
    """A picture inside the bundle with the outputs that it must give."""

    file: str
    label: str
    outputs: tuple[GoldenOutput, ...]


class Provenance(Schema, frozen=True):
    """Where the model comes from: enough to repeat the run.

    Attributes:
        coloured: whether the training's pictures were clearly coloured (True) or grey throughout
            (False); None if they were neither, too few to say, or the model sees grey anyway.
    """

    network: str
    weights: str
    seed: int
    data_sha256: Sha256
    split_sha256: Sha256
    images: dict[str, int]
    coloured: bool | None
    versions: dict[str, str]


class Member(Schema, frozen=True):
    """Size in bytes and SHA-256 of one member of the bundle."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


class Manifest(Schema, frozen=True):
    """Everything that a device must know about a bundle."""

    schema_version: int
    name: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
    version: Annotated[str, msgspec.Meta(pattern=VERSION_PATTERN)]
    created: str
    minimum_runtime: Annotated[str, msgspec.Meta(pattern=VERSION_PATTERN)]
    labels: tuple[Label, ...]
    preprocess: PreprocessSpec
    activation: Activation
    models: tuple[ModelEntry, ...]
    policy: DecisionPolicy
    certificate: Certificate | None
    accuracy: AccuracyReport
    golden: tuple[GoldenFrame, ...]
    provenance: Provenance
    members: dict[str, Member]

    def model(self, format_: ModelFormat, precision: Precision = Precision.INT8) -> ModelEntry:
        """Return the model of that format and precision; raise :class:`BundleError` if absent."""
        for entry in self.models:
            if entry.format is format_ and entry.precision is precision:
                return entry
        present = ", ".join(entry.file for entry in self.models)
        raise BundleError(
            f"the bundle {self.name} {self.version} holds no {precision} {format_} model; "
            f"it holds {present}"
        )
