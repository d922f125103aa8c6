"""Looking into the int8 model of a bundle, as the device runs it."""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import Float64Array, decide, dequantize, probabilities
from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import CLASS_MAP, LOGITS, Manifest, ModelFormat
from linegate_bundle.native_log import captured_native_log
from linegate_bundle.preprocess import UInt8Array, encode
from linegate_training.explain.explanation import (
    Explanation,
    FilterBank,
    Float32Array,
    HeatMap,
    HeatMethod,
    Stage,
    StageInfo,
    StageKind,
    Target,
    target_of,
)
from linegate_training.explain.heat import occlusion
from linegate_training.explain.source import ModelFacts, Source
from linegate_training.explain.stages import choose_stages

_KINDS = {
    "CONV_2D": StageKind.CONVOLUTION,
    "DEPTHWISE_CONV_2D": StageKind.CONVOLUTION,
    "MAX_POOL_2D": StageKind.POOLING,
    "AVERAGE_POOL_2D": StageKind.POOLING,
}
_JOINS = "CONCATENATION"
_SPATIAL = 4


@dataclasses.dataclass(frozen=True)
class _Operator:
    """One operator; inputs and outputs are places of tensors."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteSource(Source):
    """An int8 TFLite model with an output ``logits`` and, where it pools one, a class map.

    Two interpreters run it: that of the device (XNNPACK) decides; one without XNNPACK,
    which keeps no values inside, shows the feature maps. The two differ by a few steps
    of the quantization.

    Args:
        manifest: of the bundle.
        content: the model file.

    Raises:
        EngineError: the engine refuses the model.
    """

    def __init__(self, manifest: Manifest, content: bytes) -> None:
        self.facts = ModelFacts(
            f"{manifest.name} {manifest.version}",
            "the int8 TFLite model of a bundle, as the device runs it; weights and feature maps "
            "are brought back from 8 bits",
            manifest.labels,
            manifest.preprocess,
        )
        self._manifest = manifest
        self._entry = manifest.model(ModelFormat.TFLITE)
        try:
            self._device, self._inside = _interpreters(content)
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"{self._entry.file}: ai-edge-litert refuses it: {error}; run `linegate verify`"
            ) from error
        self._tensors = {tensor["index"]: tensor for tensor in self._inside.get_tensor_details()}
        self._operators = _operators(self._inside)
        runner = self._inside.get_signature_runner()
        self._input = runner.get_input_details()[self._entry.input.name]["index"]
        outputs = runner.get_output_details()
        self._logits = int(outputs[LOGITS]["shape"][-1])
        self._class_map = outputs[CLASS_MAP]["index"] if CLASS_MAP in outputs else None
        every = self._all_stages()
        self._stages = [every[place] for place in choose_stages([info for info, _ in every])]

    @property
    def filters(self) -> FilterBank | None:
        """See :attr:`Source.filters`."""
        for operator in self._operators:
            if operator.name == "CONV_2D":
                kernels = self._real(operator.inputs[1])
                layer = _layer_name(self._tensors[operator.outputs[0]]["name"])
                return FilterBank(layer, kernels.transpose(1, 2, 3, 0))
        return None

    def explain_pixels(self, pixels: UInt8Array) -> Explanation:
        """See :meth:`Source.explain_pixels`."""
        manifest = self._manifest
        decision = decide(
            probabilities(self._logits_of(pixels[np.newaxis])[0], manifest.activation),
            manifest.labels,
            manifest.policy,
        )
        self._inside.set_tensor(self._input, encode(pixels, self._entry.input.dtype))
        self._inside.invoke()
        return Explanation(
            pixels=pixels,
            colour=manifest.preprocess.colour,
            decision=decision,
            policy=manifest.policy,
            stages=tuple(Stage(info, self._real(tensor)[0]) for info, tensor in self._stages),
            heat=self._heat_map(pixels, target_of(manifest.labels, self._logits, decision)),
        )

    def _heat_map(self, pixels: UInt8Array, target: Target) -> HeatMap:
        """Read the class map of the picture that was run last, or cover the picture."""
        if self._class_map is None:
            values = occlusion(pixels, self._logits_of, target.logit)
            method, step = HeatMethod.OCCLUSION, None
        else:
            values = self._real(self._class_map)[0, ..., target.logit]
            method = HeatMethod.CLASS_MAP
            step = float(self._tensors[self._class_map]["quantization_parameters"]["scales"][0])
        return HeatMap(values, method, target.speaks_for, target.speaks_against, step)

    def _logits_of(self, pictures: UInt8Array) -> Float64Array:
        quantization = self._entry.output(LOGITS).quantization
        name, dtype = self._entry.input.name, self._entry.input.dtype
        runner = self._device.get_signature_runner()
        return np.stack(
            [
                dequantize(runner(**{name: encode(picture, dtype)})[LOGITS], quantization)
                for picture in pictures
            ]
        )

    def _all_stages(self) -> list[tuple[StageInfo, int]]:
        stages: dict[int, StageInfo] = {}
        for operator in self._operators:
            (tensor,) = operator.outputs[:1]
            if tensor == self._class_map or len(self._tensors[tensor]["shape"]) != _SPATIAL:
                continue
            if operator.name in _KINDS:
                stages[tensor] = self._stage(tensor, _KINDS[operator.name])
            elif operator.name == _JOINS and set(operator.inputs) <= stages.keys():
                # What is only put beside each other is one stage, such as AlexNet's groups.
                for part in set(operator.inputs):
                    del stages[part]
                stages[tensor] = self._stage(tensor, StageKind.CONVOLUTION)
        return [(info, tensor) for tensor, info in stages.items()]

    def _stage(self, tensor: int, kind: StageKind) -> StageInfo:
        height, width, channels = (int(size) for size in self._tensors[tensor]["shape"][1:])
        return StageInfo(
            _layer_name(self._tensors[tensor]["name"]), kind, (height, width, channels)
        )

    def _real(self, index: int) -> Float32Array:
        """Return a tensor's values, brought back from its quantization."""
        stored = self._inside.get_tensor(index)
        parameters = self._tensors[index]["quantization_parameters"]
        scales, zeros = parameters["scales"], parameters["zero_points"]
        if not len(scales):
            return np.asarray(stored, np.float32)
        along = [1] * stored.ndim
        along[parameters["quantized_dimension"]] = len(scales)
        # Weights have a scale a channel; their zero points may come as one for all.
        zeros = np.broadcast_to(zeros, scales.shape).reshape(along)
        real: Float32Array = (stored.astype(np.float32) - zeros) * scales.reshape(along)
        return real


def open_bundle(path: Path) -> TfliteSource:
    """Open the int8 TFLite model of a bundle, after all hashes have been checked.

    Raises:
        BundleError: the file is missing, damaged or altered, or holds no such model.
        EngineError: the engine refuses the model.
    """
    with Bundle.open(path, importlib.metadata.version("linegate-runtime")) as bundle:
        entry = bundle.manifest.model(ModelFormat.TFLITE)
        return TfliteSource(bundle.manifest, bundle.read(entry.file))


def _interpreters(content: bytes) -> tuple[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415 - slow

    with captured_native_log():
        device = Interpreter(model_content=content, num_threads=1)
        device.allocate_tensors()
        inside = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        inside.allocate_tensors()
    return device, inside


def _operators(interpreter: Any) -> list[_Operator]:
    # No public call lists the operators; the schema in the package is no public one either.
    details = interpreter._get_ops_details()  # noqa: SLF001
    return [
        _Operator(detail["op_name"], _places(detail["inputs"]), _places(detail["outputs"]))
        for detail in details
    ]


def _places(indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in indices)


def _layer_name(tensor: str) -> str:
    """Return the layer in a name such as ``core_1/stem_relu_1/Relu6;core_1/...``.

    The first part is the model, the second the layer, what follows are its operations.
    """
    parts = tensor.partition(";")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[0]  # noqa: PLR2004 - model, layer, operation
