"""Tries a line as the user who runs it, and prints each finding as a line of JSON.

``python -m linegate_runtime.checkup.as_service TRIAL`` is started by root as that user, see
:mod:`linegate_runtime.checkup.as_user`; TRIAL is :meth:`~.trial.Trial.encode`'s.
"""

import os
import sys
from collections.abc import Iterator

import msgspec

from linegate_bundle.errors import LinegateError
from linegate_runtime.checkup.base import Finding, Subject, failed, guarded
from linegate_runtime.checkup.trial import Trial, try_cameras, try_engine


def try_all(trial: Trial) -> Iterator[Finding]:
    """Read the settings and try what they name."""
    from linegate_runtime.config_file import load_config  # noqa: PLC0415

    try:
        config = load_config(trial.settings, trial.overrides)
    except LinegateError as error:
        advice = f"let whoever runs the line read it: ls -l {trial.settings}"
        yield failed(Subject.CONFIGURATION, str(error), advice)
        return
    yield from guarded(Subject.ENGINE, lambda: try_engine(config, trial.bundle))
    yield from guarded(Subject.CAMERA, lambda: try_cameras(config, trial.held))


def _main(text: str) -> int:
    # What libraries and cameras' processes print is no finding.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for finding in try_all(Trial.decode(text)):
            out.write(msgspec.json.encode(finding) + b"\n")
            out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
