"""The ladder: plain int8 that is good is left alone, one that is not is repaired, all is told."""

import numpy as np
import pytest

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Activation
from linegate_bundle.preprocess import UInt8Array
from linegate_export import onnx_float32, tflite_int8
from linegate_export.conversion import ConversionError, RequirementError
from linegate_export.graph import Deployable
from linegate_export.progress import Steps
from linegate_export.quantization import bias_correction, ladder, repairs
from linegate_export.quantization.errors import measure_errors
from linegate_export.quantization.fidelity import Fidelity, Judge
from linegate_export.quantization.ladder import near_enough, quantize
from linegate_export.quantization.options import Repair, RepairOptions
from linegate_export.quantization.recipe import Attempt, Means, Tried, Workshop
from linegate_export.tflite_edit import constants, with_constants
from linegate_export.tflite_file import WEIGHTS, read_tflite
from tests.export import nets

Net = tuple[Deployable, bytes]


def workshop(net: Net, pictures: UInt8Array, *, count: int = 80) -> Workshop:
    model, tflite = net
    float32 = onnx_float32.convert(model, tflite)
    judge = Judge(float32, pictures[80:], nets.PLAIN_AND_BLOB, Activation.SIGMOID)
    return Workshop(model, tflite, pictures[:count], judge)


def scaled(net: Net, largest: float) -> Net:
    return net[0], nets.scale_channels(net[1], largest)


def fidelity(agreement: float, pictures: int = 200, error: float = 0.1) -> Attempt:
    return Attempt(
        means=Means.CALIBRATION,
        title="",
        fidelity=Fidelity(pictures=pictures, agreement=agreement, error=error),
        float_operators=0,
        size_bytes=0,
    )


def test_int8_that_is_near_is_chosen_by_its_error_and_not_repaired(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    result = quantize(workshop(relu_net, blob_pictures), RepairOptions(), Steps(ladder.STEPS))
    means = [attempt.means for attempt in result.attempts]
    assert set(means) == {Means.CALIBRATION, Means.BIASES}
    # Three draws, all of them, percentile, least error.
    assert means.count(Means.CALIBRATION) == 6
    errors = [attempt.error for attempt in result.attempts]
    best = result.attempts[int(np.argmin(errors))]
    assert (result.recipe.means, result.recipe.title) == (best.means, best.title)
    assert not result.recipe.exempt


def test_channels_of_very_different_size_are_repaired_by_equalization(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    """Plain int8 loses the small channels here; with larger factors no engine runs it at all."""
    shop = workshop(scaled(relu_net, 1000.0), blob_pictures)
    result = quantize(shop, RepairOptions(), Steps(ladder.STEPS))
    assert result.recipe.means is Means.EQUALIZATION
    best = result.attempts[-1]
    assert best.fidelity is not None
    assert best.fidelity.agreement >= 0.99
    assert best.error < 0.1 < min(attempt.error for attempt in result.attempts[:-1])
    tflite_int8.ensure_integer(read_tflite(result.artifact.content), shop.model)


def test_without_repair_what_no_engine_runs_is_refused(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    shop = workshop(scaled(relu_net, 1e4), blob_pictures)
    with pytest.raises(ConversionError, match=r"refuses all that were tried: .*--repair auto"):
        quantize(shop, RepairOptions(repair=Repair.OFF), Steps(ladder.STEPS))
    assert all(attempt.fidelity is None for attempt in shop.attempts)


def test_a_bias_correction_that_fails_is_an_attempt_that_failed(
    relu_net: Net, blob_pictures: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConversionError("the bias correction failed: data[i] != 0")

    monkeypatch.setattr(bias_correction, "correct", fail)
    result = quantize(workshop(relu_net, blob_pictures), RepairOptions(), Steps(ladder.STEPS))
    assert result.recipe.means is Means.CALIBRATION
    failed = [one for one in result.attempts if one.fidelity is None]
    assert {one.means for one in failed} == {Means.BIASES}


def test_one_that_is_near_enough_is_taken_before_one_with_less_error(
    relu_net: Net, blob_pictures: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few large logits may make an error small though many labels differ."""
    given = iter([fidelity(0.5, error=0.01), *[fidelity(1.0, error=0.2)] * 99])
    shop = workshop(relu_net, blob_pictures)
    monkeypatch.setattr(shop, "_judge", lambda _: next(given).fidelity)
    result = quantize(shop, RepairOptions(), Steps(ladder.STEPS))
    (taken,) = [one for one in result.attempts if one.taken]
    assert taken.fidelity is not None
    assert taken.fidelity.agreement == 1.0
    assert {one.means for one in result.attempts} == {Means.CALIBRATION, Means.BIASES}


def test_the_whole_ladder_is_climbed_and_told_where_nothing_is_near_enough(
    edge_net: Net, blob_pictures: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "near_enough", lambda *_: False)
    told: list[str] = []
    shop = workshop(edge_net, blob_pictures)
    shop.note = told.append
    result = quantize(shop, RepairOptions(), Steps(ladder.STEPS))
    means = {attempt.means for attempt in result.attempts}
    assert means >= {Means.CALIBRATION, Means.BIASES, Means.FINE_TUNING, Means.FLOAT_OPERATORS}
    assert len(told) == len(result.attempts)
    assert [one.taken for one in result.attempts].count(True) == 1
    assert min(attempt.error for attempt in result.attempts) == next(
        attempt.error for attempt in result.attempts if attempt.taken
    )


def test_exempt_operators_are_float_and_no_other(edge_net: Net, blob_pictures: UInt8Array) -> None:
    shop = workshop(edge_net, blob_pictures)
    plain = quantize(shop, RepairOptions(repair=Repair.OFF), Steps(ladder.STEPS))
    best = Tried(plain.recipe, plain.artifact, plain.attempts[0])
    for recipe in repairs.float_operators(shop, best):
        assert recipe.exempt
        artifact = shop.try_recipe(recipe).artifact
        floats = {
            operator.outputs[0].name
            for operator in read_tflite(artifact.content).operators
            if operator.outputs[0].dtype == "float32" and operator.name != "DEQUANTIZE"
        }
        # The last of a run of them gives its result to a QUANTIZE, under another name.
        assert len(floats) == len(recipe.exempt)
        with pytest.raises(ConversionError, match="expected int8 throughout"):
            tflite_int8.ensure_integer(read_tflite(artifact.content), shop.model)


def test_the_error_table_names_the_tensor_that_was_spoilt(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    model, tflite = relu_net
    shop = workshop(relu_net, blob_pictures)
    ranges = shop.observe(tflite).min_max()
    second = read_tflite(tflite).operators[1].outputs[0].name
    wide = type(ranges[second])(ranges[second].low, 60 * ranges[second].high)
    artifact = tflite_int8.convert(model, tflite, {**ranges, second: wide})
    errors = measure_errors(model, tflite, artifact, blob_pictures[:32])
    assert [one.operator for one in errors] == [
        operator.name for operator in read_tflite(tflite).operators
    ]
    worst = min(errors, key=lambda one: one.own_db)
    assert worst.tensor == second
    names = [name for name in model.layers if name.startswith("re_lu")]
    assert worst.layer == names[1]
    behind = [one for one in errors if one is not worst][1:]
    assert all(one.total_db < one.own_db for one in behind)


def test_the_error_table_blames_weights_that_vanish_in_rounding(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    """One far above all others of its channel makes their steps so wide that they are lost."""
    model, tflite = relu_net
    first, second = read_tflite(tflite).operators[:2]
    values = constants(tflite)
    for constant in first.inputs[WEIGHTS:]:
        values[constant.name][0] = 0
    # It reads a channel that is silent, so that no result changes.
    large = values[second.inputs[WEIGHTS].name]
    large[..., 0] = 1000 * np.abs(large).max()
    edited = with_constants(tflite, values)
    ranges = workshop(relu_net, blob_pictures).observe(edited).min_max()
    artifact = tflite_int8.convert(model, edited, ranges)
    errors = measure_errors(model, edited, artifact, blob_pictures[:32])
    assert min(errors, key=lambda one: one.own_db).tensor == second.outputs[0].name
    assert errors[1].own_db < errors[0].own_db - 10


def test_no_pictures_to_calibrate_with_are_refused(
    relu_net: Net, blob_pictures: UInt8Array
) -> None:
    with pytest.raises(RequirementError, match="at least one picture"):
        quantize(workshop(relu_net, blob_pictures, count=0), RepairOptions(), Steps(2))


@pytest.mark.parametrize(
    ("agreement", "pictures", "least", "enough"),
    [
        (0.98, 200, RepairOptions().minimum_fidelity, True),
        (0.99, 200, 0.99, True),
        (0.985, 200, 0.99, False),
        (0.9, 10, 0.99, True),
        (0.8, 10, 0.99, False),
        (1.0, 1, 0.99, True),
        # Limits whose complement is no exact binary number.
        (0.9, 100, 0.9, True),
        (0.89, 100, 0.9, False),
        (0.8, 10, 0.8, True),
        (0.93, 100, 0.93, True),
    ],
)
def test_near_enough_allows_the_share_and_always_one_picture(
    agreement: float, pictures: int, least: float, enough: bool
) -> None:
    options = RepairOptions(minimum_fidelity=least)
    assert near_enough(fidelity(agreement, pictures), options) is enough


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="--min-fidelity: expected a share"):
        RepairOptions(minimum_fidelity=1.5)
