"""A bundle whose model crashes its interpreter natively: no exception can be caught."""

from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema  # noqa: TID251 - no engine, a file format

import linegate_runtime
from linegate_bundle.bundle import Bundle, write_bundle
from tests.support import TINY_BUNDLE


def crashing_bundle(path: Path) -> Path:
    """Write the small real bundle, sealed anew, with a convolution that has no weights.

    Marked as optional and left out, they pass all checks of ai-edge-litert 2.1, which then
    reads them at address 0.
    """
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as bundle:
        manifest = bundle.manifest
        members = {name: bundle.read(name) for name in manifest.members}
    name = next(entry.file for entry in manifest.models if entry.file.endswith(".tflite"))
    members[name] = _without_weights(members[name])
    write_bundle(path, manifest, members)
    return path


def _without_weights(content: bytes) -> bytes:
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    operator = next(
        one
        for one in model.subgraphs[0].operators
        if model.operatorCodes[one.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
    )
    picture, _, bias = operator.inputs
    operator.inputs = [int(picture), -1, int(bias)]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
