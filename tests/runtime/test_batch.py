"""Several crops of one moment: the same answers as one by one, in one pass or not."""

from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import EngineError
from linegate_bundle.manifest import CLASS_MAP, LOGITS
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.backends import BACKENDS
from linegate_runtime.model import Model

TRAINED = Path(__file__).parents[1] / "data" / "tiny.linegate"
ENGINES = [name for name in ("tflite", "onnx") if BACKENDS.load(name).installed()]


def crops(count: int) -> list[UInt8Array]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (30 + 7 * n, 50, 3), np.uint8) for n in range(count)]


@pytest.mark.parametrize("engine", [*ENGINES, "fake"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_a_batch_answers_as_its_members_do(engine: str, count: int) -> None:
    with Bundle.open(TRAINED, "0.1.0") as bundle, Model.open(bundle, engine, batch=3) as model:
        frames = crops(count)
        alone = [model.see(frame, with_map=True) for frame in frames]
        together = model.see_all(frames, with_map=True)
    assert [seen.probabilities for seen in together] == [seen.probabilities for seen in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.class_map is not None
        assert other.class_map is not None
        np.testing.assert_array_equal(one.class_map.logits(), other.class_map.logits())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_gives_the_same_bytes_for_a_batch(engine: str) -> None:
    with Bundle.open(TRAINED, "0.1.0") as bundle:
        family = BACKENDS.load(engine)
        assert family.format is not None
        entry = bundle.manifest.model(family.format)
        backend = family(entry, bundle.read(entry.file), 1)
    shape = (4, *entry.input.shape[1:])
    rng = np.random.default_rng(1)
    tensors = rng.integers(0, 256, shape, np.uint8).view(entry.input.dtype.value)
    names = (LOGITS, CLASS_MAP)
    given = backend.invoke_batch(tensors, names)
    for number in range(4):
        alone = backend.invoke(tensors[number : number + 1], names)
        for name in names:
            np.testing.assert_array_equal(given[name][number : number + 1], alone[name])
    backend.close()
    with pytest.raises(EngineError, match="is closed"):
        backend.invoke_batch(tensors, names)


@pytest.mark.skipif("tflite" not in ENGINES, reason="needs an engine for TensorFlow Lite")
def test_a_graph_that_cannot_be_resized_takes_them_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Bundle.open(TRAINED, "0.1.0") as bundle, Model.open(bundle, "tflite", batch=2) as model:
        frames = crops(2)
        alone = [model.see(frame).probabilities for frame in frames]
        monkeypatch.setattr(model._backend, "_resized", lambda _: None)
        assert [seen.probabilities for seen in model.see_all(frames)] == alone
