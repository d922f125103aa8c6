"""What ``linegate log`` shows to people."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import Recorded
from linegate_runtime.record_check import Checked
from linegate_runtime.record_stats import Group, Rate, Stats

_COLUMNS = {
    "number": 8,
    "time": 24,
    "part": 7,
    "camera/region": 14,
    "verdict": 7,
    "reason": 8,
    "label": 14,
    "p(defect)": 9,
    "age ms": 7,
    "bundle": 0,
}
"""Columns of rows with their widths; a longer value pushes the others aside."""

_RIGHT = {"number", "part", "p(defect)", "age ms"}


def rows_head() -> str:
    """Return the line above rows."""
    return _aligned(_COLUMNS)


def rows_line(one: Recorded) -> str:
    """Return a row as a line."""
    row = one.row
    return _aligned(
        (
            str(one.number),
            row.time_utc,
            str(row.part),
            f"{row.camera}/{row.region}" if row.region else row.camera,
            row.verdict.value,
            row.reason.value,
            row.label or "-",
            "-" if row.defect_probability is None else f"{row.defect_probability:.4f}",
            "-" if row.frame_age_ms is None else f"{row.frame_age_ms:.1f}",
            f"{row.bundle_name} {row.bundle_version} {row.bundle_sha256[:12]}",
        )
    )


def checked_text(path: Path, checked: Checked) -> str:
    """Return what a check found."""
    lines = [f"{path}: record {checked.record}"]
    if checked.removed:
        lines.append(f"rows up to {checked.removed} were removed because of age or size")
    if checked.first is not None and checked.last is not None:
        lines.append(
            f"{checked.rows} rows follow from each other: {checked.first.number} of "
            f"{checked.first.time_utc} to {checked.last.number} of {checked.last.time_utc}"
        )
    else:
        lines.append("no row follows from the beginning" if checked.problems else "no rows")
    if checked.problems:
        lines += [f"BROKEN: {problem.what}" for problem in checked.problems]
    else:
        lines.append(
            "the sums agree with the rows" if checked.are_sums_checked else "sums not checked"
        )
        lines += [f"head {checked.head}", "note it elsewhere; later: --expect NUMBER:HASH"]
    return _printable(lines)


def stats_text(path: Path, stats: Stats) -> str:
    """Return statistics as tables."""
    lines = [f"{path}: {stats.rows} rows, {stats.size_bytes / 1e6:.1f} MB in use"]
    if stats.first is not None and stats.newest is not None:
        lines += [
            (
                f"rows {stats.first.number} of {stats.first.time_utc} to {stats.newest.number} of "
                f"{stats.newest.time_utc}"
            ),
            "",
            f"{stats.since} to {stats.until}",
            f"  {stats.total.parts} parts{_paces(stats)}",
            *_table(_verdict_rows(stats.total)),
        ]
    if stats.groups:
        lines += ["", *_table(_group_rows(stats.groups))]
    if stats.durations:
        lines += ["", "milliseconds, upper ends of classes of 19 %", *_table(_duration_rows(stats))]
    if stats.outputs:
        lines += ["", *_table(_output_rows(stats))]
    return _printable(lines)


def _paces(stats: Stats) -> str:
    if not stats.busy_minutes:
        return ""
    whole, busy = stats.total.parts / stats.minutes, stats.total.parts / stats.busy_minutes
    return f", {whole:.1f} a minute; {busy:.1f} in the {stats.busy_minutes} minutes that have parts"


def _verdict_rows(group: Group) -> list[list[str]]:
    rows = [["verdict", "parts", "share", "95 % interval"]]
    for verdict, rate in group.verdicts.items():
        rows.append([verdict.value, str(rate.parts), f"{rate.share:.2%}", _interval(rate)])
    return rows


def _group_rows(groups: Iterable[Group]) -> list[list[str]]:
    rows = [["", "parts", *(f"{verdict.value}, 95 % interval" for verdict in Verdict)]]
    for group in groups:
        shares = [f"{rate.share:.2%} ({_interval(rate)})" for rate in group.verdicts.values()]
        rows.append([group.name or "(none)", str(group.parts), *shares])
    return rows


def _interval(rate: Rate) -> str:
    return f"{rate.interval.low:.2%} to {rate.interval.high:.2%}"


def _duration_rows(stats: Stats) -> list[list[str]]:
    rows = [["stage", "parts", "p50", "p90", "p99", "longest"]]
    for stage, one in stats.durations.items():
        figures = (one.p50, one.p90, one.p99, one.longest)
        rows.append([stage, str(one.parts), *(f"{figure:.3g}" for figure in figures)])
    return rows


def _output_rows(stats: Stats) -> list[list[str]]:
    rows = [["output", "rows waiting", "rows lost"]]
    rows += [[name, str(one.waiting), str(one.lost)] for name, one in stats.outputs.items()]
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            f"{value:>{width}}" if index else f"{value:<{width}}"
            for index, (value, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _aligned(values: Iterable[str]) -> str:
    pieces = [
        f"{value:>{width}}" if name in _RIGHT else f"{value:<{width}}"
        for value, (name, width) in zip(values, _COLUMNS.items(), strict=True)
    ]
    return _printable([" ".join(pieces).rstrip()])


def _printable(lines: Iterable[str]) -> str:
    """Return lines without characters that a terminal obeys; anybody may have named a label."""
    return "".join(
        "".join(one if one.isprintable() else "?" for one in line) + "\n" for line in lines
    )
