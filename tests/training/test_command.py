import argparse
from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Colour, Fit, Resize
from linegate_runtime import cli
from linegate_training.augment.augmentation import Augmentation
from linegate_training.commands.train import COMMAND, parse_options
from linegate_training.data.split import Fractions
from linegate_training.data.split_options import NearDuplicates
from linegate_training.networks.names import NETWORKS
from linegate_training.options import (
    Balance,
    CorruptImages,
    Cost,
    ExistingRun,
    Head,
    Monitor,
    Precision,
    Quality,
    TrainOptions,
)


def parsed(*arguments: str) -> TrainOptions:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return parse_options(parser.parse_args(["photographs", "--out", "run", *arguments]))


def test_without_options_the_defaults_of_the_function_hold() -> None:
    assert parsed() == TrainOptions(data=Path("photographs"), out=Path("run"))


def test_every_option_arrives() -> None:
    options = parsed(
        "--name", "cells", "--network", "mobilenet_v2", "--alpha", "0.35", "--head", "pooled",
        "--weights", "w.keras", "--size", "32x24",
        "--colour", "gray", "--resize", "linear_exact", "--fit", "letterbox", "--good", "a",
        "--good", "b", "--group-block", "40", "--near-duplicates", "ignore",
        "--fractions", "0.4", "0.2", "0.2", "0.2",
        "--quality", "best",
        "--epochs", "3", "--batch-size", "8", "--learning-rate", "0.01", "--patience", "2",
        "--fine-tune-after", "block7_add", "--variants", "2", "--label-smoothing", "0",
        "--balance", "weights", "--cost", "b:a=5", "--no-turns", "--blur", "0.5", "--seed", "5",
        "--cache", "c", "--head-rate", "2", "--weight-decay", "0.1", "--average", "0.99",
        "--monitor", "auc", "--precision", "float32", "--tensorboard", "t",
        "--skip-corrupt", "--force",
    )  # fmt: skip
    assert options == TrainOptions(
        data=Path("photographs"),
        out=Path("run"),
        name="cells",
        network="mobilenet_v2",
        alpha=0.35,
        head=Head.POOLED,
        weights="w.keras",
        size=(32, 24),
        colour=Colour.GRAY,
        resize=Resize.LINEAR_EXACT,
        fit=Fit.LETTERBOX,
        good=("a", "b"),
        group_block=40,
        near_duplicates=NearDuplicates.IGNORE,
        fractions=Fractions(0.4, 0.2, 0.2, 0.2),
        epochs=3,
        quality=Quality.BEST,
        batch_size=8,
        learning_rate=0.01,
        patience=2,
        fine_tune_after="block7_add",
        variants=2,
        label_smoothing=0.0,
        balance=Balance.WEIGHTS,
        costs=(Cost("b", "a", 5.0),),
        augmentation=Augmentation(turns=False, blur=0.5),
        head_rate=2.0,
        weight_decay=0.1,
        average=0.99,
        monitor=Monitor.AUC,
        precision=Precision.FLOAT32,
        tensorboard=Path("t"),
        seed=5,
        cache=Path("c"),
        corrupt_images=CorruptImages.SKIP,
        existing_run=ExistingRun.REPLACE,
    )
    assert parsed("--group-pattern", "(a)").group_pattern == "(a)"
    assert parsed("--split", "s.csv").split == Path("s.csv")
    assert parsed("--size", "48").size == (48, 48)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--head", "big"),
        ("--size", "big"),
        ("--group-block", "2", "--split", "s.csv"),
        ("--fractions", "1"),
        ("--cost", "crack=5"),
        ("--cost", "crack:good=much"),
    ],
)
def test_wrong_options_exit_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed(*arguments)
    assert stopped.value.code == 2


def test_fractions_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        parsed("--fractions", "0.5", "0.5", "0.5", "0.5")


def test_the_command_line_trains_and_says_what_it_does(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "train", str(photographs), "--out", str(tmp_path / "run"), "--cache",
        str(tmp_path / "cache"), "--network", "basic_cnn", "--size", "16", "--epochs", "1",
    ]  # fmt: skip
    assert cli.main(arguments) == 0
    assert (tmp_path / "run" / "run.json").is_file()
    assert cli.main(arguments) == ConfigError.exit_code
    assert "exists already; choose another --out, or replace it with --force" in (
        capsys.readouterr().err
    )


def test_unknown_network_lists_the_names_and_leaves_nothing(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(photographs), "--out", str(tmp_path / "run")]
    assert cli.main([*arguments, "--network", "resnet5000"]) == ConfigError.exit_code
    message = capsys.readouterr().err
    assert "unknown network 'resnet5000'; valid are: alexnet, basic_cnn, " in message
    assert not (tmp_path / "run").exists()


def test_errors_in_the_photographs_have_their_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    assert cli.main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run")]) == 8
    assert "expected at least two sub-folders" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--good CLASS", "--group-block N", "--split FILE", "--skip-corrupt", "--force"):
        assert option in shown
    for name in NETWORKS:
        assert name in shown
    assert "good, ok, functional, normal, pass" in " ".join(shown.split())
