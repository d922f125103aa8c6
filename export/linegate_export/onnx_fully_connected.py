"""A correction of tf2onnx: a fully connected layer that flattens its input keeps its bias.

The TFLite converter leaves out a reshape before a fully connected layer where only one
pixel is left of the picture. tf2onnx, up to 1.17 at least, adds that reshape and loses
the bias on the way.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

_BIAS = 2
_FLAT_RANK = 2


@contextlib.contextmanager
def keeping_biases() -> Iterator[None]:
    """Let tf2onnx convert fully connected layers rightly inside the block."""
    from tf2onnx.handler import tfl_op  # noqa: PLC0415 - slow to import
    from tf2onnx.tflite_handlers.tfl_math import TflFullyConnectedOp  # noqa: PLC0415

    class FullyConnected:
        """Calls tf2onnx's own handler and adds the bias if that one has lost it."""

        @classmethod
        def to_tf(cls, ctx: Any, node: Any, **options: Any) -> None:
            """Replace the node, as tf2onnx asks its handlers to do."""
            reshaped = not node.attr["keep_num_dims"].i and _rank(ctx, node) != _FLAT_RANK
            bias = node.input[_BIAS] if reshaped and len(node.input) > _BIAS else None
            TflFullyConnectedOp.to_tf(ctx, node, **options)
            if bias is not None:
                output = node.output[0]
                add = ctx.insert_new_node_on_output("Add", output, inputs=[output, bias])
                add.skip_conversion = True

    register = tfl_op(["TFL_FULLY_CONNECTED"])
    register(FullyConnected)
    try:
        yield
    finally:
        register(TflFullyConnectedOp)


def _rank(ctx: Any, node: Any) -> int:
    return int(ctx.get_rank(node.input[0]))
