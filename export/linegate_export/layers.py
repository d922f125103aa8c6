"""From the name of a TFLite tensor back to the layer of the trained model."""

import re
from collections.abc import Sequence

from linegate_export.tflite_file import Operator, TfliteFile


def layer_of(operator: Operator, file: TfliteFile, layers: Sequence[str]) -> str:
    """Return the name of the layer that an operator computes.

    The converter joins the names of all that it fused into one operator with semicolons, and
    each is a path such as ``core/block1_conv_1/convolution``, where Keras has numbered the
    layer's second use. The layer that comes last in the model is the one.

    Args:
        operator: of the file.
        file: the converted model.
        layers: the names of the model's layers, in order.

    Returns:
        The layer; the name of the output where the operator gives one, for the converter drops
        the layer's then; the name of the operator's tensor where none is in it.
    """
    (written, *_) = operator.outputs
    given = [name for name, tensor in file.outputs.items() if tensor.index == written.index]
    if given:
        return given[0]
    places = {name: place for place, name in enumerate(layers)}
    found = [
        places[name]
        for candidates in layers_in(written.name)
        for name in [next((one for one in candidates if one in places), None)]
        if name is not None
    ]
    return layers[max(found)] if found else written.name


def layers_in(paths: str) -> list[tuple[str, str]]:
    """Return what may be layers' names in paths such as ``core/block1_conv_1/convolution``.

    Keras numbers a layer's use, and its default names end in a number too. So each is given
    without its last number first, which is nearly always the layer, then as it stands.
    """
    parts = [path.split("/")[1] for path in paths.split(";") if "/" in path]
    return [(re.sub(r"_\d+$", "", part), part) for part in parts]
