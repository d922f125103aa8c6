"""The report: right for every outcome, safe with any label, the same bytes every time."""

import re
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from linegate_bundle.decide import probabilities
from linegate_bundle.manifest import (
    LOGITS,
    Activation,
    Label,
    ModelFormat,
    Precision,
    Quantization,
    Role,
)
from linegate_bundle.run_folder import RUN_SCHEMA_VERSION, Part, RunRecord, SplitRow
from linegate_export.assess import Context, Evaluations, assess
from linegate_export.conversion import INPUT, Artifact
from linegate_export.entry import describe
from linegate_export.evaluate import Evaluation
from linegate_export.findings import Findings
from linegate_export.gate import GateLimits
from linegate_export.pictures import Pictures
from linegate_export.policy import PolicyTargets
from linegate_export.quantization.errors import OperatorError
from linegate_export.quantization.fidelity import Fidelity
from linegate_export.quantization.recipe import Attempt, Means
from linegate_export.report import render
from tests.export import nets

IMAGES = 240


def evaluation(
    logits: np.ndarray, labels: int, format_: ModelFormat, precision: Precision
) -> Evaluation:
    quantization = Quantization(scale=0.1, zero_point=0) if precision is Precision.INT8 else None
    entry = describe(
        format_,
        precision,
        shape=(nets.SIDE, nets.SIDE, 3),
        outputs={LOGITS: (1, labels)},
        quantizations={INPUT: quantization, LOGITS: quantization},
    )
    return Evaluation(
        artifact=Artifact(entry, b"model"),
        logits=logits,
        probabilities=np.stack([probabilities(row, Activation.SOFTMAX) for row in logits]),
    )


def findings(labels: Sequence[Label], *, lost: float = 0.3, sure: float = 2.0) -> Findings:
    """Make up an export; ``lost`` is how much int8 is disturbed, ``sure`` how good float is."""
    rng = np.random.default_rng(0)
    truth = [index % len(labels) for index in range(IMAGES)]
    clean = rng.normal(0, 1, (IMAGES, len(labels)))
    clean[np.arange(IMAGES), truth] += sure
    float32 = evaluation(clean, len(labels), ModelFormat.ONNX, Precision.FLOAT32)
    tflite, onnx = (
        evaluation(clean + rng.normal(0, lost, clean.shape), len(labels), format_, Precision.INT8)
        for format_ in (ModelFormat.TFLITE, ModelFormat.ONNX)
    )
    test = Pictures(
        rows=tuple(
            SplitRow(
                path=f"{index}.png",
                label=labels[place].name,
                group=str(index),
                part=Part.TEST,
                sha256="0" * 64,
            )
            for index, place in enumerate(truth)
        ),
        pixels=rng.integers(0, 256, (IMAGES, nets.SIDE, nets.SIDE, 3), np.uint8),
    )
    attempt = Attempt(
        means=Means.CALIBRATION,
        title="least squared error",
        fidelity=Fidelity(pictures=64, agreement=0.984, error=0.0625),
        float_operators=0,
        size_bytes=1000,
    )
    refused = msgspec.structs.replace(attempt, title="far apart", fidelity=None)
    operator = OperatorError(
        operator="CONV_2D", layer="stem", tensor="t", total_db=31.0, own_db=40.0, float32=False
    )
    context = Context(
        name="made-up",
        version="1.0.0",
        record=RunRecord(
            schema_version=RUN_SCHEMA_VERSION,
            name="made-up",
            created="2026-01-01T00:00:00Z",
            network="none",
            weights="none",
            seed=0,
            labels=tuple(labels),
            activation=Activation.SOFTMAX,
            preprocess=nets.spec(),
            data="/data",
            data_sha256="0" * 64,
            split_sha256="0" * 64,
            model_sha256="0" * 64,
            coloured=None,
            configuration={},
            versions={},
        ),
        limits=GateLimits(),
        targets=PolicyTargets(0.1, 0.1),
        attempts=(attempt, refused),
        errors=(operator, msgspec.structs.replace(operator, layer="head", float32=True)),
        images={"test": IMAGES},
        versions={"keras": "3"},
    )
    return assess(context, Evaluations(float32, tflite, onnx, (), tflite), test, test)


def many_labels(count: int) -> list[Label]:
    return [
        Label(name=f"label {index}", role=Role.DEFECT if index else Role.GOOD)
        for index in range(count)
    ]


def test_a_passed_export_says_so_first_and_a_failed_one_says_why() -> None:
    passed = render(findings(nets.PLAIN_AND_BLOB, lost=0.0)).decode()
    assert "<strong>PASSED</strong>" in passed
    assert "Nowhere: all models give every test picture the same label" in passed
    failed = render(findings(nets.PLAIN_AND_BLOB, lost=3.0)).decode()
    banner = failed[failed.index("FAILED: no bundle") :][:1500]
    assert "accuracy that int8 TFLite loses against float32: expected 1.5 points at most" in banner
    assert re.search(r"Where int8 and float differ</h2>\s*<p>\d+ of 240 test pictures", failed)


def test_what_was_tried_and_what_each_operator_loses_is_told() -> None:
    html = render(findings(nets.PLAIN_AND_BLOB)).decode()
    section = html[html.index("How int8 was made") : html.index("Where int8 and float differ")]
    assert "least squared error" in section
    assert "98.4" in section
    assert "no engine runs it" in section
    assert re.search(r"CONV_2D</td><td>head</td>.*?31\.0</td>\s*<td>float</td>", section, re.DOTALL)


def test_times_are_told_as_ratios_and_only_where_they_were_measured() -> None:
    made = findings(nets.PLAIN_AND_BLOB)
    latency = {"float32": 10.0, "int8 TFLite": 2.5, "int8 ONNX": 4.0}
    assert ">0.25</td>" in render(made, latency).decode()
    assert ">time</th>" not in render(made).decode()


def test_a_perfect_model_has_no_errors_to_show() -> None:
    html = render(findings(nets.PLAIN_AND_BLOB, lost=0.0, sure=60.0)).decode()
    assert "None: int8 TFLite gives every test picture its true label" in html


@pytest.mark.parametrize("count", [3, 20])
def test_many_labels_fit_and_nothing_comes_from_elsewhere(count: int) -> None:
    html = render(findings(many_labels(count))).decode()
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "label 2" in html


def test_a_label_or_path_is_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    labels = (Label(name=hostile, role=Role.GOOD), Label(name="$x_{1$ & y", role=Role.DEFECT))
    made = findings(labels)
    rows = tuple(msgspec.structs.replace(row, path=hostile) for row in made.test.rows)
    object.__setattr__(made.test, "rows", rows)
    html = render(made).decode()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
