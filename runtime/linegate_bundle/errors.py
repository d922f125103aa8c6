"""The errors of linegate, by whose fault an error is.

Every message says what was expected, what came and what to do. The command
line prints the message and exits with the class's ``exit_code``; a traceback
appears only with ``--debug``.

::

    LinegateError                  exit code
    ├── BundleError (ValueError)    3  the bundle file
    ├── ConfigError (ValueError)    4  an option or the configuration file
    ├── CameraError (OSError)       5  the camera or the stream
    ├── EngineError (RuntimeError)  6  the inference engine or the model inside it
    ├── OutputError (OSError)       7  the record or an output
    ├── DataError (ValueError)      8  photographs, split or run folder
    ├── TrainingError (RuntimeError) 9 the training itself
    └── GateError (RuntimeError)   10  the accuracy gate said no
"""


class LinegateError(Exception):
    """Base of all errors that linegate raises on purpose."""

    exit_code = 1


class BundleError(LinegateError, ValueError):
    """The bundle is damaged, of another version or contradicts itself."""

    exit_code = 3


class ConfigError(LinegateError, ValueError):
    """An option or the configuration file is wrong."""

    exit_code = 4


class CameraError(LinegateError, OSError):
    """The camera cannot be opened or delivers no usable frames."""

    exit_code = 5


class EngineError(LinegateError, RuntimeError):
    """The inference engine is missing, refuses the model or returns nonsense."""

    exit_code = 6


class OutputError(LinegateError, OSError):
    """A record or an output cannot be written."""

    exit_code = 7


class DataError(LinegateError, ValueError):
    """The photographs, their split or the run folder are not usable."""

    exit_code = 8


class TrainingError(LinegateError, RuntimeError):
    """Training cannot start or cannot go on."""

    exit_code = 9


class GateError(LinegateError, RuntimeError):
    """The exported model failed its accuracy gate; no bundle was written."""

    exit_code = 10
