"""What the ladder tries where plain int8 is not near enough to the float model, in its order.

First what leaves the model integer throughout: equalization costs nothing, fine-tuning minutes.
Only then are operators left in float, for they take time on the device.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from linegate_export.conversion import RequirementError
from linegate_export.quantization.equalization import equalize
from linegate_export.quantization.errors import measure_errors, worst_tensors
from linegate_export.quantization.fine_tuning import STEPS, fine_tune
from linegate_export.quantization.recipe import Means, Recipe, Tried, Workshop
from linegate_export.tflite_file import read_tflite

_FLOAT_TENSORS = (1, 2, 4, 8, 16, 32, 64)


def equalization(shop: Workshop, best: Tried) -> Iterator[Recipe]:
    """Make the channels of each tensor alike, and take the ranges anew."""
    equal = equalize(best.recipe.tflite, shop.pictures, shop.model.normalization)
    if equal is None:
        return
    observed = shop.observe(equal)
    for title, ranges in (
        ("smallest to largest value", observed.min_max()),
        ("least squared error", observed.least_error()),
    ):
        yield Recipe(Means.EQUALIZATION, title, equal, ranges, corrected=True)


def fine_tuning(shop: Workshop, best: Tried) -> Iterator[Recipe]:
    """Let the weights of the best model learn the float model's answers in int8."""
    recipe = best.recipe
    try:
        tuned = fine_tune(
            shop.model, recipe.tflite, best.artifact.content, shop.reference, shop.pictures
        )
    except RequirementError as error:
        shop.note(f"no fine-tuning: {error}")
        return
    yield dataclasses.replace(
        recipe,
        means=Means.FINE_TUNING,
        title=f"{STEPS} steps",
        tflite=tuned,
        # The training has found the biases.
        corrected=False,
        untuned=recipe,
    )


def float_operators(shop: Workshop, best: Tried) -> Iterable[Recipe]:
    """Leave the operators around the worst tensors in float, more and more of them.

    What fine-tuning has learned holds in int8 only, so it is left out.
    """
    recipe = best.recipe.untuned or best.recipe
    errors = measure_errors(shop.model, recipe.tflite, shop.make(recipe), shop.pictures)
    worst = worst_tensors(errors, max(_FLOAT_TENSORS))
    tried: set[frozenset[str]] = {frozenset()}
    for count in _FLOAT_TENSORS:
        if count > len(worst):
            return
        exempt = _around(recipe.tflite, worst[:count])
        if exempt in tried:
            continue
        tried.add(exempt)
        yield dataclasses.replace(
            recipe,
            means=Means.FLOAT_OPERATORS,
            title=f"{len(exempt)} around the {count} worst tensor{'s' if count > 1 else ''}",
            exempt=exempt,
        )


def _around(tflite: bytes, tensors: list[str]) -> frozenset[str]:
    """Return the results of the operators that write or read one of the tensors.

    A tensor is float only where its writer and all its readers are. What gives an output stays
    in int8, for so is the output.
    """
    file = read_tflite(tflite)
    given = {tensor.name for tensor in file.outputs.values()}
    return frozenset(
        operator.outputs[0].name
        for operator in file.operators
        for tensor in (*operator.inputs, *operator.outputs)
        if tensor.name in tensors and operator.outputs[0].name not in given
    )
