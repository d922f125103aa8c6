"""Trained nets that many of the export's tests share; each is trained once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

# On a busy machine a first call takes longer than any deadline that would be worth having.
hypothesis.settings.register_profile(
    "export", parent=hypothesis.settings.get_profile("linegate"), deadline=None
)
hypothesis.settings.load_profile("export")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_FOREIGN_WARNINGS = ("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",)
"""What Keras does with NumPy when it saves or compares; nothing here can change it."""

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array
    from linegate_export.graph import Deployable
    from tests.export.nets import Example


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings of Keras itself pass in this folder's tests; all others stay errors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in _FOREIGN_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> "Example":
    """A run of a small net with depthwise blocks, two labels, sigmoid."""
    from tests.export import nets

    folder = tmp_path_factory.mktemp("blobs")
    rows = nets.write_pictures(folder / "data", nets.PLAIN_AND_BLOB, nets.PARTS)
    model = nets.conv_net()
    nets.fit(model, rows, folder / "data", nets.PLAIN_AND_BLOB)
    return nets.write_run(folder / "run", model, rows, folder / "data", nets.PLAIN_AND_BLOB)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> "Example":
    """A run of a small dense net, three labels, softmax."""
    from linegate_bundle.manifest import Label, Role
    from tests.export import nets

    labels = (*nets.PLAIN_AND_BLOB, Label(name="bar", role=Role.DEFECT))
    folder = tmp_path_factory.mktemp("three")
    rows = nets.write_pictures(folder / "data", labels, nets.PARTS)
    model = nets.dense_net(len(labels))
    nets.fit(model, rows, folder / "data", labels)
    return nets.write_run(folder / "run", model, rows, folder / "data", labels)


@pytest.fixture(scope="session")
def blob_pictures(blobs: "Example") -> "UInt8Array":
    """The pictures of the train part of ``blobs``, raw pixels."""
    from linegate_bundle.run_folder import Part, read_split
    from linegate_export.pictures import load_pictures
    from tests.export import nets

    rows = [row for row in read_split(blobs.run.split) if row.part is Part.TRAIN]
    return load_pictures(rows, blobs.data, nets.spec(), "train").pixels


@pytest.fixture(scope="session")
def trained(
    blobs: "Example", tmp_path_factory: pytest.TempPathFactory
) -> "Callable[[Any], tuple[Deployable, bytes]]":
    """Train a net on the pictures of ``blobs``; gives its float TFLite graph too."""
    from linegate_bundle.run_folder import read_split
    from linegate_export import graph, tflite_float32
    from linegate_export.saved_model import write_saved_model
    from tests.export import nets

    def train(model: Any) -> "tuple[Deployable, bytes]":
        folder = tmp_path_factory.mktemp("net")
        rows = read_split(blobs.run.split)
        nets.fit(model, rows, blobs.data, blobs.labels)
        run = nets.write_run(folder / "run", model, rows, blobs.data, blobs.labels).run
        deployable = graph.cut(graph.load_model(run.model), run.read_record())
        write_saved_model(deployable, folder / "saved")
        return deployable, tflite_float32.convert(deployable, folder / "saved")

    return train


@pytest.fixture(scope="session")
def relu_net(
    trained: "Callable[[Any], tuple[Deployable, bytes]]",
) -> "tuple[Deployable, bytes]":
    """A trained net of plain convolutions, and its float TFLite graph."""
    from tests.export import nets

    return trained(nets.relu_net())


@pytest.fixture(scope="session")
def edge_net(
    trained: "Callable[[Any], tuple[Deployable, bytes]]",
) -> "tuple[Deployable, bytes]":
    """A trained net with swish and squeeze-excite, and its float TFLite graph."""
    from tests.export import nets

    return trained(nets.edge_net())


@pytest.fixture(scope="session")
def deployable(blobs: "Example") -> "Deployable":
    """The model of ``blobs``, cut for the device."""
    from linegate_export import graph

    return graph.cut(graph.load_model(blobs.run.model), blobs.run.read_record())


@pytest.fixture(scope="session")
def saved(deployable: "Deployable", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SavedModel of ``deployable``."""
    from linegate_export.saved_model import write_saved_model

    folder = tmp_path_factory.mktemp("saved")
    write_saved_model(deployable, folder)
    return folder


@pytest.fixture(scope="session")
def float_tflite(deployable: "Deployable", saved: Path) -> bytes:
    """The float TFLite model of ``deployable``."""
    from linegate_export import tflite_float32

    return tflite_float32.convert(deployable, saved)
