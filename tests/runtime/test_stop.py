"""A line that is asked to end does so in order, whatever around it does not answer."""

from pathlib import Path

import pytest

from linegate_runtime.record import Access, Record
from linegate_runtime.record_check import check
from tests.broker import require_mosquitto
from tests.stop_run import Trouble, end_in

KILLED_AFTER_S = 5.0
"""``TimeoutStopSec=`` of the service; that it takes 2 s at most `make bench-stop` measures."""


@pytest.mark.parametrize("trouble", Trouble)
def test_a_line_ends_in_order_with_its_gate_safe_and_its_record_closed(
    tmp_path: Path, bundle_path: Path, trouble: Trouble
) -> None:
    require_mosquitto()
    ended = end_in(tmp_path, bundle_path, trouble)
    assert ended.code == 0, (tmp_path / "log").read_text()
    assert ended.seconds < KILLED_AFTER_S
    assert ended.is_safe
    assert ended.left == []
    assert not (tmp_path / "gated.sqlite-wal").exists()
    with Record(tmp_path / "gated.sqlite", Access.READ) as record:
        assert check(record).rows > 0
