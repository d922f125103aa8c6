"""The tiny model that ``linegate doctor`` runs: is it what its script makes, and all int8?"""

from linegate_export.tflite_file import read_tflite
from tests.export.make_checkup_model import LARGEST_BYTES, TARGET, make


def test_the_script_makes_the_same_bytes_anew() -> None:
    content = make()
    assert len(content) <= LARGEST_BYTES
    assert content == TARGET.read_bytes()


def test_every_operator_computes_in_int8() -> None:
    file = read_tflite(TARGET.read_bytes())
    assert [operator.name for operator in file.operators] == [
        "CONV_2D",
        "MEAN",
        "FULLY_CONNECTED",
    ]
    for operator in file.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            assert tensor.dtype == "int8" or (tensor.dtype == "int32" and tensor.constant)
    quantization = file.inputs["image"].quantization
    assert quantization is not None
    assert (quantization.scale, quantization.zero_point) == (1.0, -128)
