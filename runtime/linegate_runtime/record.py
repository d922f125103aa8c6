"""The record: one row a part in SQLite, on disk before anybody is told.

A row is committed with ``synchronous=FULL``, so it survives a power cut. How long
that took is known only afterwards; it is written with the next commit, and at the
latest when the line is idle or the record is closed.
"""

import enum
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.reason import Reason

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linegate_bundle.decide import Float64Array

    Float32Array = npt.NDArray[np.float32]

SCHEMA_VERSION = 3
"""``PRAGMA user_version`` of the files that this release writes and reads."""

APPLICATION_ID = 0x4C474154
"""``PRAGMA application_id`` that marks a file as a record of linegate ("LGAT")."""

_BUSY_TIMEOUT_S = 5.0

_CACHE_KIB = 1024
"""Half of SQLite's default, which fills up within minutes and stays."""

_TABLE = """
CREATE TABLE parts (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL,
    part INTEGER NOT NULL,
    time_utc TEXT NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    camera TEXT NOT NULL,
    region TEXT NOT NULL,
    frame_number INTEGER,
    label TEXT,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    policy TEXT NOT NULL,
    probabilities TEXT NOT NULL,
    defect_probability REAL,
    frames_voted INTEGER NOT NULL,
    frame_age_ms REAL,
    latency_ms REAL,
    bundle_name TEXT NOT NULL,
    bundle_version TEXT NOT NULL,
    bundle_sha256 TEXT NOT NULL,
    UNIQUE (run, camera, region, part)
) STRICT
"""

_CLASS_MAPS = """
CREATE TABLE class_maps (
    uuid TEXT PRIMARY KEY REFERENCES parts (uuid),
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    logits INTEGER NOT NULL,
    float32 BLOB NOT NULL
) STRICT
"""


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part's verdict.

    Attributes:
        uuid: identifies this verdict everywhere.
        run: identifies the run of ``linegate run`` that judged the part.
        part: the part's number in that run and region, from 1 in the order they came.
        time_utc: wall clock at the verdict, ISO 8601 with milliseconds and ``Z``.
        monotonic_ns: ``time.monotonic_ns()`` at the verdict.
        camera: the camera's name, or its address without a password.
        region: name of the region of its frames; empty if it has only one.
        frame_number: number of the newest frame that voted; None without any frame, as
            for label, defect_probability and frame_age_ms.
        label: the most probable label.
        verdict: accept, reject or unsure.
        reason: why: its frames' vote, or the deadline passed, or no frame showed it.
        policy: whether the bundle's own policy judged it, or a stricter or looser one.
        probabilities: by label, in the bundle's order; empty without any frame.
        defect_probability: what was measured against the thresholds.
        frames_voted: how many frames were combined.
        frame_age_ms: from the capture of the newest frame that voted to the verdict.
        latency_ms: from the same capture, or from the part's begin if it has no frame, to
            the row being committed; None if the program was killed before that was noted.
        bundle_name, bundle_version, bundle_sha256: what judged the part.
    """

    uuid: str
    run: str
    part: int
    time_utc: str
    monotonic_ns: int
    camera: str
    region: str
    frame_number: int | None
    label: str | None
    verdict: Verdict
    reason: Reason
    policy: PolicyOrigin
    probabilities: dict[str, float]
    defect_probability: float | None
    frames_voted: int
    frame_age_ms: float | None
    latency_ms: float | None
    bundle_name: str
    bundle_version: str
    bundle_sha256: str


_COLUMNS = PartRow.__struct_fields__


class Access(enum.StrEnum):
    """What a record is opened for."""

    WRITE = "write"
    READ = "read"


class Record:
    """An open record file.

    Args:
        path: the SQLite file; for writing it is made if it is not there.
        access: whether rows are to be added.

    Raises:
        OutputError: not there, not writable, no record of linegate, or one of
            another schema.
    """

    def __init__(self, path: Path, access: Access = Access.WRITE) -> None:
        self.path = path
        self._unnoted: tuple[float, str] | None = None
        if access is Access.READ and not path.is_file():
            raise OutputError(f"{path}: expected a record, there is no such file")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: expected an existing folder {path.parent}; make it first")
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"{path}: cannot be opened: {error}") from error
        try:
            self._prepare(access)
        except sqlite3.Error as error:
            self._database.close()
            raise OutputError(f"{path}: expected a record of linegate: {error}") from error
        except BaseException:
            self._database.close()
            raise

    def append(self, row: PartRow, class_map: "Float64Array | None" = None) -> None:
        """Add a row; it is on disk when this returns.

        Args:
            row: the row.
            class_map: shape ``(height, width, logits)``; kept with it, in float32.

        Raises:
            OutputError: the disk is full or failing, or the part has a row already.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._note()
                self._database.execute(
                    f"INSERT INTO parts ({', '.join(_COLUMNS)}) "  # noqa: S608 - own names
                    f"VALUES ({', '.join('?' * len(_COLUMNS))})",
                    _to_values(row),
                )
                if class_map is not None:
                    self._database.execute(
                        "INSERT INTO class_maps VALUES (?, ?, ?, ?, ?)",
                        (row.uuid, *class_map.shape, class_map.astype("<f4").tobytes()),
                    )
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise OutputError(
                f"{self.path}: part {row.part} cannot be recorded: {error}"
            ) from error
        self._unnoted = None

    def note_latency(self, uuid: str, latency_ms: float) -> None:
        """Keep the latency of the row added last, to be written with the next commit."""
        self._unnoted = (latency_ms, uuid)

    def settle(self) -> None:
        """Write what :meth:`note_latency` kept.

        Raises:
            OutputError: the disk is full or failing.
        """
        if self._unnoted is None:
            return
        try:
            self._note()
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: a latency cannot be noted: {error}") from error
        self._unnoted = None

    def rows(self) -> Iterator[PartRow]:
        """Read all rows in the order they were added.

        Raises:
            OutputError: the file is damaged.
        """
        try:
            query = f"SELECT {', '.join(_COLUMNS)} FROM parts ORDER BY id"  # noqa: S608
            for values in self._database.execute(query):
                yield _from_values(values)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise OutputError(f"{self.path}: a row cannot be read: {error}") from error

    def class_map(self, uuid: str) -> "Float32Array | None":
        """Return the class map kept with a row, shape ``(height, width, logits)``.

        None if there is none.

        Raises:
            OutputError: the file is damaged.
        """
        import numpy as np  # noqa: PLC0415 - who only reads rows needs none

        try:
            found = self._database.execute(
                "SELECT height, width, logits, float32 FROM class_maps WHERE uuid = ?", (uuid,)
            ).fetchone()
            if found is None:
                return None
            *shape, values = found
            return np.frombuffer(values, "<f4").reshape(shape)
        except (sqlite3.Error, ValueError) as error:
            raise OutputError(f"{self.path}: a class map cannot be read: {error}") from error

    def close(self) -> None:
        """Settle and close the file; a second call does nothing."""
        try:
            self.settle()
        finally:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self) -> None:
        if self._unnoted is not None:
            self._database.execute("UPDATE parts SET latency_ms = ? WHERE uuid = ?", self._unnoted)

    def _prepare(self, access: Access) -> None:
        version = self._pragma("user_version")
        application = self._pragma("application_id")
        tables = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        is_new = tables == 0 and version == 0 and application == 0
        if is_new and access is Access.WRITE:
            self._create()
        elif application != APPLICATION_ID:
            raise OutputError(
                f"{self.path}: expected a record of linegate, got another SQLite file; "
                "choose another path"
            )
        elif version != SCHEMA_VERSION:
            raise OutputError(
                f"{self.path}: expected a record of schema version {SCHEMA_VERSION}, got {version}"
                "; move it away or use the release that wrote it"
            )
        if access is Access.READ:
            self._database.execute("PRAGMA query_only = ON")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # The row must be on disk before a gate or a controller hears of it.
        self._database.execute("PRAGMA synchronous = FULL")

    def _create(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(_TABLE)
        self._database.execute(_CLASS_MAPS)
        self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._database.execute("COMMIT")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])


def _to_values(row: PartRow) -> list[str | int | float | None]:
    values = msgspec.structs.asdict(row)
    values.update(verdict=row.verdict.value, reason=row.reason.value, policy=row.policy.value)
    values["probabilities"] = msgspec.json.encode(row.probabilities).decode()
    return list(values.values())


def _from_values(values: tuple[object, ...]) -> PartRow:
    document = dict(zip(_COLUMNS, values, strict=True))
    document["probabilities"] = msgspec.json.decode(str(document["probabilities"]))
    return msgspec.convert(document, PartRow)
