"""Class maps on their way from the model to the record."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Verdict
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.record import Access, Record
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import even_picture
from tests.support import TINY_BUNDLE

LINEGATE = [sys.executable, "-m", "linegate_runtime"]


def test_a_decision_comes_with_the_class_map_of_its_newest_frame() -> None:
    with Bundle.open(TINY_BUNDLE, "0.1.0") as bundle, Model.open(bundle) as model:
        frames = [
            Frame(
                number=number,
                monotonic_ns=number * 1000,
                taken_ns=number * 1000,
                pixels=even_picture(value),
            )
            for number, value in enumerate((0, 90, 200), start=1)
        ]
        for wanted in (False, True):
            trigger = FakeTrigger(FakeOptions(script=(1, 1, 1)))
            regions = [Region("", trigger)]
            policy = line_policy(bundle.manifest, VerdictOptions())
            judge = Judge(model, policy, Stamp.of("a run", bundle, policy.origin))
            inspector = Inspector(judge, regions, class_maps=wanted, clock=lambda: 0)
            for each in frames:
                inspector.inspect(each)
            (judgement,) = inspector.finish().judgements
            class_map = judgement.decided.class_map
            if wanted:
                assert class_map is not None
                expected = model.outputs(frames[-1].pixels)["class_map"]
                np.testing.assert_array_equal(class_map.logits(), expected)
            else:
                assert class_map is None


@pytest.mark.parametrize("has_map", [True, False])
def test_class_maps_are_kept_with_all_but_accepted_parts(
    tmp_path: Path, bundle_path: Path, *, has_map: bool
) -> None:
    (tmp_path / "line.toml").write_text(
        '[camera]\naddress = "64x48@400"\nsource = "fake"\n'
        '[trigger]\nkind = "continuous"\n[engine]\nname = "fake"\n'
        '[record]\npath = "parts.sqlite"\nclass_maps = true\n'
    )
    bundle = TINY_BUNDLE if has_map else bundle_path
    done = subprocess.run(
        [
            *(*LINEGATE, "run", str(bundle), "--config", str(tmp_path / "line.toml")),
            *("--parts", "300"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if not has_map:
        assert done.returncode == ConfigError.exit_code
        assert "class_maps: expected a model with a class map" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    with Record(tmp_path / "parts.sqlite", Access.READ) as record:
        rows = [one.row for one in record.rows()]
        kept = {row.uuid: record.class_map(row.uuid) is not None for row in rows}
        assert kept == {row.uuid: row.verdict is not Verdict.ACCEPT for row in rows}
    assert set(kept.values()) == {True, False}
