"""The contract of every engine, on a real small model and on the public fake."""

import logging
import sys
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import BundleError, ConfigError, EngineError
from linegate_bundle.images import decode_image
from linegate_bundle.manifest import CLASS_MAP, LOGITS, ModelEntry, Precision
from linegate_runtime.backends import BACKENDS, Backend
from linegate_runtime.model import Model
from linegate_runtime.verify import Outcome, verify
from tests.support import TINY_BUNDLE

REAL = ["tflite", "onnx"]


@pytest.fixture
def bundle() -> Iterator[Bundle]:
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as opened:
        yield opened


def backend_class(name: str) -> type[Backend]:
    loaded = BACKENDS.load(name)
    if not loaded.installed():
        pytest.skip(f"the engine {name} is not installed; pip install 'linegate-runtime[{name}]'")
    return loaded


def entry_for(name: str, bundle: Bundle) -> ModelEntry:
    format_ = BACKENDS.load(name).format
    return bundle.manifest.models[0] if format_ is None else bundle.manifest.model(format_)


@pytest.fixture(params=BACKENDS.names())
def backend(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[tuple[Backend, ModelEntry]]:
    entry = entry_for(request.param, bundle)
    opened = backend_class(request.param)(entry, bundle.read(entry.file))
    yield opened, entry
    opened.close()


def some_input(entry: ModelEntry, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    limits = np.iinfo(entry.input.dtype.value)
    return random.integers(limits.min, limits.max + 1, entry.input.shape).astype(limits.dtype)


def test_outputs_come_by_name_as_the_manifest_says(backend: tuple[Backend, ModelEntry]) -> None:
    engine, entry = backend
    outputs = engine.invoke(some_input(entry))
    assert set(outputs) == {tensor.name for tensor in entry.outputs}
    for tensor in entry.outputs:
        assert outputs[tensor.name].shape == tensor.shape
        assert outputs[tensor.name].dtype == tensor.dtype.value


def test_the_same_input_gives_the_same_output(backend: tuple[Backend, ModelEntry]) -> None:
    engine, entry = backend
    first = {name: value.copy() for name, value in engine.invoke(some_input(entry)).items()}
    engine.invoke(some_input(entry, seed=1))
    again = engine.invoke(some_input(entry))
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("change", ["shape", "dtype", "batch"])
def test_a_wrong_input_is_refused(change: str, backend: tuple[Backend, ModelEntry]) -> None:
    engine, entry = backend
    tensor = some_input(entry)
    wrong = {
        "shape": tensor[:, 1:],
        "dtype": tensor.astype(np.float32),
        "batch": np.concatenate([tensor, tensor]),
    }[change]
    with pytest.raises(EngineError, match="expected an input"):
        engine.invoke(wrong)


def test_closing_twice_is_harmless_and_a_closed_model_says_so(
    backend: tuple[Backend, ModelEntry],
) -> None:
    engine, entry = backend
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.invoke(some_input(entry))


def test_every_engine_names_itself(backend: tuple[Backend, ModelEntry]) -> None:
    engine, _ = backend
    assert engine.engine.name
    assert engine.engine.version[0].isdigit()
    assert engine.engine.kernel


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 4096])
def test_what_is_no_model_is_refused(name: str, content: bytes, bundle: Bundle) -> None:
    engine = backend_class(name)
    with pytest.raises(EngineError, match=r"refuses model\.int8"):
        engine(entry_for(name, bundle), content)


@pytest.mark.parametrize("name", REAL)
def test_a_model_with_another_number_of_labels_is_refused(name: str, bundle: Bundle) -> None:
    entry = entry_for(name, bundle)
    logits = msgspec.structs.replace(entry.outputs[0], shape=(1, 9))
    changed = msgspec.structs.replace(entry, outputs=(logits, *entry.outputs[1:]))
    with pytest.raises(BundleError, match=r"expected an output 'logits' of u?int8 \(1, 9\)"):
        backend_class(name)(changed, bundle.read(entry.file))


@pytest.mark.parametrize("name", REAL)
def test_a_model_with_another_input_size_is_refused(name: str, bundle: Bundle) -> None:
    entry = entry_for(name, bundle)
    changed = msgspec.structs.replace(
        entry, input=msgspec.structs.replace(entry.input, shape=(1, 5, 5, 3))
    )
    with pytest.raises(BundleError, match="expected the inputs"):
        backend_class(name)(changed, bundle.read(entry.file))


@pytest.mark.parametrize(
    ("name", "modules", "command"),
    [
        (
            "tflite",
            ["ai_edge_litert", "ai_edge_litert.interpreter", "tflite_runtime"],
            r"pip install 'linegate-runtime\[litert\]'",
        ),
        ("onnx", ["onnxruntime"], r"pip install 'linegate-runtime\[onnx\]'"),
    ],
)
def test_an_engine_that_is_not_installed_says_how_to_install_it(
    name: str, modules: list[str], command: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [*modules, "tflite_runtime.interpreter"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=command):
        BACKENDS.load(name)(entry_for(name, bundle), b"")


def test_tflite_runs_on_fast_kernels_or_warns(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    entry = entry_for("tflite", bundle)
    with caplog.at_level(logging.WARNING):
        engine = backend_class("tflite")(entry, bundle.read(entry.file)).engine
    if engine.name == "ai-edge-litert":
        assert engine.kernel == "xnnpack"
        assert not caplog.records
    else:
        assert engine.name == "tflite-runtime"
        assert "int8 without its fast kernels" in caplog.text


@pytest.mark.parametrize("name", REAL)
def test_the_terminal_stays_clean_when_a_model_opens(
    name: str, bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = entry_for(name, bundle)
    backend_class(name)(entry, bundle.read(entry.file)).close()
    assert capfd.readouterr() == ("", "")


def test_golden_frames_answer_as_promised_in_every_installed_engine(bundle: Bundle) -> None:
    checks = list(verify(bundle))
    outcomes = {check.subject: check.outcome for check in checks}
    for name in REAL:
        expected = Outcome.OK if BACKENDS.load(name).installed() else Outcome.SKIPPED
        assert outcomes[f"model.int8.{name}"] is expected


def test_an_unknown_engine_lists_the_known_ones(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="unknown backend 'tpu'; valid are: fake, onnx, tflite"):
        Model.open(bundle, "tpu")


def test_a_precision_that_the_bundle_lacks_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="holds no float32 tflite model"):
        Model.open(bundle, "tflite", precision=Precision.FLOAT32)


@pytest.mark.parametrize("name", REAL)
def test_one_run_gives_logits_and_where_they_come_from(name: str, bundle: Bundle) -> None:
    backend_class(name)
    frame = decode_image(bundle.read(bundle.manifest.golden[0].file))
    with Model.open(bundle, name) as model:
        outputs = model.outputs(frame)
        assert outputs.keys() == {LOGITS, CLASS_MAP}
        np.testing.assert_array_equal(outputs[LOGITS], model.logits(frame))
        assert outputs[CLASS_MAP].shape == model.entry.output(CLASS_MAP).shape[1:]
        # The logits are the mean of the map, up to what rounding takes from either.
        steps = [model.entry.output(each).quantization for each in (LOGITS, CLASS_MAP)]
        allowed = sum(step.scale for step in steps if step is not None)
        mean = outputs[CLASS_MAP].mean(axis=(0, 1))
        np.testing.assert_allclose(mean, outputs[LOGITS], atol=allowed)


def test_both_engines_agree_on_the_golden_frames(bundle: Bundle) -> None:
    for name in REAL:
        backend_class(name)
    frames = [decode_image(bundle.read(frame.file)) for frame in bundle.manifest.golden]
    with Model.open(bundle, "tflite") as tflite, Model.open(bundle, "onnx") as onnx:
        labels = [
            [int(np.argmax(model.probabilities(frame))) for frame in frames]
            for model in (tflite, onnx)
        ]
    assert labels[0] == labels[1]
