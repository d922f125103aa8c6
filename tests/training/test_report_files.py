"""The report of a real training of three classes, with names that HTML and Markdown read."""

import base64
import csv
import re
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.images import decode_image
from linegate_bundle.run_folder import Part, RunFolder, read_split
from linegate_training.options import TrainOptions
from linegate_training.report.card import escape_markdown
from linegate_training.run import train
from tests.training.html_page import Page
from tests.training.pictures import write_photographs

STRANGE = "dent <i>|&_x"
COUNTS = {"good": 48, "scratch": 24, STRANGE: 24}
SECTIONS = (
    "How good", "How sure", "What goes wrong", "What to do next", "Worst errors",
    "Confusion, ROC and precision-recall", "By label", "By group", "Calibration", "Training",
    "What the network saw: augmentation", "The split and its leak check",
    "What this does not show", "Where it comes from",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("report") / "photographs"
    write_photographs(folder, COUNTS)  # the strange ones look like good ones: errors to show
    return train(
        TrainOptions(
            data=folder,
            out=folder.parent / "run",
            cache=folder.parent / "cache",
            network="basic_cnn",
            size=(12, 16),
            epochs=3,
            group_pattern=r"part(\d+)_",
        )
    )


@pytest.fixture(scope="module")
def page(run: RunFolder) -> Page:
    return Page((run.path / "report.html").read_text())


def test_the_page_has_every_section(page: Page) -> None:
    assert tuple(page.headings[1:]) == SECTIONS


def test_the_page_needs_no_other_file_and_no_network(run: RunFolder, page: Page) -> None:
    assert page.sources
    assert all(address.startswith("data:image/") for address in page.sources.values())
    text = (run.path / "report.html").read_text()
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)


def test_names_of_classes_are_shown_and_not_read_as_html(page: Page) -> None:
    assert page.tags["i"] == 0
    assert STRANGE in page.text


def test_every_figure_is_on_the_page(page: Page) -> None:
    for part in ("Confusion", "ROC curves", "Precision-recall", "Histogram", "Reliability", "Loss"):
        assert any(alt.startswith(part) for alt in page.sources), part
    assert {"as they are", "flips", "brightness", "contrast", "all together"} <= set(page.sources)


def test_figures_of_the_page_follow_from_the_predictions(run: RunFolder, page: Page) -> None:
    with (run.path / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    names = [label.name for label in run.read_record().labels]
    values = np.array([[float(row[f"probability:{name}"]) for name in names] for row in rows])
    right = sum(
        names[place] == row["label"] for place, row in zip(values.argmax(axis=1), rows, strict=True)
    )
    assert f"{100 * right / len(rows):.1f} % of {len(rows)} test pictures" in page.text


def test_predictions_hold_every_picture_of_validation_and_test_once(run: RunFolder) -> None:
    with (run.path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = [
        (row.path, row.part.value, row.label, row.group)
        for part in (Part.VALIDATION, Part.TEST)
        for row in read_split(run.split)
        if row.part is part
    ]
    assert [(row["path"], row["part"], row["label"], row["group"]) for row in rows] == expected
    for row in rows:
        probabilities = [float(text) for name, text in row.items() if ":" in name]
        assert sum(probabilities) == pytest.approx(1, abs=1e-12)


def test_worst_errors_come_with_the_map_beside_the_picture(page: Page) -> None:
    shown = {alt: uri for alt, uri in page.sources.items() if alt.startswith("is ")}
    assert shown
    for uri in shown.values():
        picture = decode_image(_content(uri))
        height, width = picture.shape[:2]
        assert width > 1.4 * height  # two of 12 x 16 pixels


def test_the_model_card_tells_figures_limits_and_no_place_of_this_machine(
    run: RunFolder, page: Page
) -> None:
    card = (run.path / "MODEL_CARD.md").read_text()
    for heading in ("Intended use", "Data", "Figures", "Limits", "Training"):
        assert f"\n## {heading}\n" in card
    assert escape_markdown(STRANGE) in card
    assert f"`{run.read_record().data_sha256}`" in card
    assert str(run.path.parent) not in card
    assert str(run.path.parent) not in page.text
    shares = re.findall(r"accuracy \((\d+) of (\d+)\)", card)
    assert f"{100 * int(shares[0][0]) / int(shares[0][1]):.1f} %" in card
    _check_tables(card)


def test_markdown_in_names_is_escaped() -> None:
    assert escape_markdown("a|b\n*c* <d>") == r"a\|b \*c\* \<d\>"


def _check_tables(card: str) -> None:
    """Hold every row of a table to the number of cells of its header."""
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


def _content(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def test_the_record_was_written_last(run: RunFolder) -> None:
    written = {path.name: path.stat().st_mtime_ns for path in Path(run.path).iterdir()}
    assert max(written, key=lambda name: written[name]) == "run.json"
