"""What a check finds."""

import enum
import logging
from collections.abc import Callable, Iterable, Iterator

import msgspec

from linegate_bundle.errors import CameraError, ConfigError, EngineError, OutputError

_LOG = logging.getLogger(__name__)


class Outcome(enum.StrEnum):
    """How a check went; a warning is nothing that keeps a line from working."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Subject(enum.StrEnum):
    """What is looked at."""

    PYTHON = "python"
    PACKAGES = "packages"
    PROCESSOR = "processor"
    MEMORY = "memory"
    SERVICE = "service"
    CONFIGURATION = "configuration"
    ENGINE = "engine"
    CAMERA = "camera"
    PINS = "pins"
    DISK = "disk"
    CLOCK = "clock"
    TEMPERATURE = "temperature"
    THROTTLING = "throttling"

    @property
    def exit_code(self) -> int:
        """What a command ends with if this is the first that failed."""
        return _EXIT_CODES.get(self, EngineError.exit_code)


_EXIT_CODES = {
    Subject.CONFIGURATION: ConfigError.exit_code,
    Subject.PINS: ConfigError.exit_code,
    Subject.CLOCK: ConfigError.exit_code,
    Subject.CAMERA: CameraError.exit_code,
    Subject.DISK: OutputError.exit_code,
}
"""Of all others: the software's and the engine's."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check with its result.

    Attributes:
        subject: what was looked at.
        outcome: how it went.
        detail: what was found.
        advice: what to do; None if nothing is to be done.
    """

    subject: Subject
    outcome: Outcome
    detail: str
    advice: str | None = None


def passed(subject: Subject, detail: str, advice: str | None = None) -> Finding:
    """Return that all is well."""
    return Finding(subject=subject, outcome=Outcome.OK, detail=detail, advice=advice)


def warned(subject: Subject, detail: str, advice: str) -> Finding:
    """Return that a line works, but somebody should know."""
    return Finding(subject=subject, outcome=Outcome.WARNING, detail=detail, advice=advice)


def failed(subject: Subject, detail: str, advice: str) -> Finding:
    """Return that a line does not work so."""
    return Finding(subject=subject, outcome=Outcome.FAILED, detail=detail, advice=advice)


def guarded(subject: Subject, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Run a check; one that breaks is a finding too."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are wanted
        _LOG.debug("the check of %s broke", subject, exc_info=True)
        text = f"the check itself broke: {type(error).__name__}: {error}"
        yield failed(subject, text, "run `linegate --debug doctor` and report what it prints")
