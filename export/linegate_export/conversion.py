"""What every conversion is: it requires, converts, ensures, and gives an :class:`Artifact`.

Each conversion stands in a file of its own. What it requires of its input is a
:class:`RequirementError` when it is not there, what it ensures about its output
a :class:`ConversionError`: the first is the model's fault, the second means that
the converter did not do what was asked, and no such file leaves the exporter.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator

import msgspec

from linegate_bundle.errors import DataError, GateError
from linegate_bundle.manifest import Engine, ModelEntry
from linegate_bundle.native_log import captured_native_log

INPUT = "image"
"""Signature name of the only input of every exported model."""


class RequirementError(DataError):
    """The trained model or the pictures are not what a conversion requires."""


class ConversionError(GateError):
    """A converter gave something else than was asked for; no bundle was written."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A converted model.

    Attributes:
        entry: how the manifest describes it; no engine is named until it is evaluated.
        content: the bytes of the model file.
    """

    entry: ModelEntry
    content: bytes

    def checked_with(self, engine: Engine) -> "Artifact":
        """Return the same artifact with the engine that ran it."""
        return dataclasses.replace(self, entry=msgspec.structs.replace(self.entry, engine=engine))


@contextlib.contextmanager
def converting(what: str) -> Iterator[None]:
    """Keep a converter's noise out of the terminal; tell it if the converter fails.

    Raises:
        ConversionError: the block raised anything; what the converter printed is in the message.
    """
    log = None
    try:
        with warnings.catch_warnings(), captured_native_log() as log:
            # The converters themselves use calls that TensorFlow has marked as outdated.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # converters raise anything
        printed = "" if log is None else "\n".join(log.text.splitlines()[-_LAST_LINES:])
        raise ConversionError(
            f"{what} failed: {type(error).__name__}: {error}\n{printed}".rstrip()
        ) from error


_LAST_LINES = 12
