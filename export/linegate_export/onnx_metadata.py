"""Writing into an ONNX model what a reader needs to use it without a bundle."""

import dataclasses
from typing import Any

import msgspec
import onnx

from linegate_bundle.run_folder import RunRecord
from linegate_export.conversion import Artifact
from linegate_export.onnx_graph import to_bytes

LABELS = "labels"
PREPROCESS = "preprocess"
ACTIVATION = "activation"


def described(artifact: Artifact, record: RunRecord) -> Artifact:
    """Return an ONNX model with labels, preprocessing and activation among its metadata.

    They are JSON as in ``manifest.json``, and onnxruntime gives them as
    ``session.get_modelmeta().custom_metadata_map``.

    Ensures: nothing else changes; the same bytes every time.
    """
    model: Any = onnx.load_from_string(artifact.content)
    values: dict[str, Any] = {
        LABELS: record.labels,
        PREPROCESS: record.preprocess,
        ACTIVATION: record.activation,
    }
    onnx.helper.set_model_props(
        model,
        {
            name: msgspec.json.encode(value, order="deterministic").decode()
            for name, value in values.items()
        },
    )
    return dataclasses.replace(artifact, content=to_bytes(model))
