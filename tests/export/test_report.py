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
from linegate_export.certificate import certify
from linegate_export.conversion import INPUT, Artifact
from linegate_export.entry import describe
from linegate_export.evaluate import Evaluation, score
from linegate_export.gate import GateLimits, Reached, judge_artifacts
from linegate_export.measured import tabulate
from linegate_export.paired import compare
from linegate_export.pictures import Pictures
from linegate_export.policy import PolicyTargets, choose_policy, count_verdicts
from linegate_export.report import Findings, render
from linegate_export.summary import OnTestPart, Summary, accuracy_report, on_calibration_part
from linegate_report.statistics import disagreements
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
    defective = test.defective(labels)
    targets = PolicyTargets(0.1, 0.1)
    policy = choose_policy(tflite.defect_probability(labels), test.truth(labels), targets)
    proofs = certify(tflite.defect_probability(labels), test.rows, labels, policy, targets)
    scores = [score(each, test, labels, policy, float32) for each in (float32, tflite, onnx)]
    accuracy = accuracy_report(IMAGES, int(defective.sum()), scores[0], (scores[1], scores[2]))
    paired = {
        name: compare(scores[0].decisions, each.decisions, test.labels, labels)
        for name, each in (("int8 TFLite", scores[1]), ("int8 ONNX", scores[2]))
    }
    gate = judge_artifacts(
        IMAGES,
        {name: Reached(one, lost) for name, one in paired.items()},
        disagreements(scores[1].labels, scores[2].labels),
        GateLimits(),
    )
    counts = count_verdicts(tflite.defect_probability(labels), defective, policy)
    return Findings(
        summary=Summary(
            name="made-up",
            version="1.0.0",
            created="2026-01-01T00:00:00Z",
            passed=gate.passed,
            checks=gate.checks,
            test=OnTestPart(
                n=IMAGES,
                defects=accuracy.defects,
                groups=IMAGES,
                float32=tabulate(scores[0], test, labels),
                int8_tflite=tabulate(scores[1], test, labels),
                int8_onnx=tabulate(scores[2], test, labels),
                agreement_tflite_onnx=accuracy.engine_agreement,
            ),
            paired=paired,
            policy=policy,
            calibration=on_calibration_part(counts),
            certificate=proofs.certificate,
            unproven=proofs.unproven,
        ),
        accuracy=accuracy,
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
            configuration={},
            versions={},
        ),
        test=test,
        float32=scores[0],
        tflite=scores[1],
        onnx=scores[2],
        targets=targets,
        engine_spread=0.5,
        images={"test": IMAGES},
        versions={"keras": "3"},
    )


def many_labels(count: int) -> list[Label]:
    return [
        Label(name=f"label {index}", role=Role.DEFECT if index else Role.GOOD)
        for index in range(count)
    ]


def test_a_passed_export_says_so_first_and_a_failed_one_says_why() -> None:
    passed = render(findings(nets.PLAIN_AND_BLOB, lost=0.0)).decode()
    assert "<strong>PASSED</strong>" in passed
    assert "Nowhere: all three models give every test picture the same label" in passed
    failed = render(findings(nets.PLAIN_AND_BLOB, lost=3.0)).decode()
    banner = failed[failed.index("FAILED: no bundle") :][:1500]
    assert "accuracy that int8 TFLite loses against float32: expected 1.5 points at most" in banner
    assert re.search(r"Where int8 and float differ</h2>\s*<p>\d+ of 240 test pictures", failed)


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
