"""The demo's figures against what linegate promises; run by ``make demo`` at its end."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.demo

DEMO = Path(os.environ.get("LINEGATE_DEMO", "build/demo"))


@pytest.fixture(scope="module")
def summary() -> Any:
    path = DEMO / "summary.json"
    assert path.is_file(), f"{path} is missing: run `make demo` first"
    return json.loads(path.read_text())


@pytest.mark.parametrize("artifact", ["float32", "int8_tflite", "int8_onnx"])
def test_accuracy_on_the_grouped_split(summary: Any, artifact: str) -> None:
    figures = summary["test"][artifact]
    assert figures["accuracy"] >= 0.82
    assert figures["auc"] >= 0.86


@pytest.mark.parametrize("artifact", ["int8_tflite", "int8_onnx"])
def test_int8_loses_at_most_one_point(summary: Any, artifact: str) -> None:
    test = summary["test"]
    assert test["float32"]["accuracy"] - test[artifact]["accuracy"] <= 0.01


def test_both_int8_models_give_the_same_label(summary: Any) -> None:
    assert summary["test"]["agreement_tflite_onnx"] >= 0.995


def test_every_part_gets_exactly_one_verdict(summary: Any) -> None:
    live = summary["live"]
    assert live["parts_shown"] >= 100
    assert live["parts_judged"] == live["parts_shown"]
    assert live["missed"] == live["doubled"] == 0


def test_live_verdicts_agree_with_offline_ones(summary: Any) -> None:
    assert summary["live"]["agreement_offline"] >= 0.97
    assert summary["live"]["agreement_frames"] >= 0.99


def test_the_first_verdict_comes_within_a_second(summary: Any) -> None:
    assert summary["live"]["first_verdict_s"] < 1.0


def test_the_device_is_small(summary: Any) -> None:
    device = summary["device"]
    assert not device["tensorflow"]
    assert device["site_packages_mb"] <= 320
    assert device["peak_memory_mb"] < 150


def test_the_demo_takes_at_most_ten_minutes(summary: Any) -> None:
    assert sum(summary["seconds"].values()) <= 600


def test_every_verdict_is_a_row_in_the_record(summary: Any) -> None:
    with closing(sqlite3.connect(summary["files"]["record"])) as database:
        (rows,) = database.execute("SELECT COUNT(*) FROM parts").fetchone()
    assert rows == summary["live"]["parts_judged"]


def test_the_report_is_there_and_needs_no_network(summary: Any) -> None:
    report = Path(summary["files"]["report"]).read_text()
    for address in ("http://", "https://", "//cdn"):
        assert f'src="{address}' not in report
        assert f'href="{address}' not in report
    assert "data:image/" in report or "<svg" in report
