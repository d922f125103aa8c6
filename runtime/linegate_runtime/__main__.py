"""``linegate``, also as ``python -m linegate_runtime``.

For ``linegate run`` the first camera's process is started before anything else is even
imported, for that is what takes longest until the first verdict.
"""

import contextlib
import sys


def main() -> int:
    """Run ``linegate`` with the arguments of this process and return its exit code."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    child = None
    if command == "run":
        from linegate_runtime.capture_child_start import Child  # noqa: PLC0415

        # What is wrong will be said when a camera is opened.
        with contextlib.suppress(OSError):
            child = Child()
    from linegate_runtime import cli  # noqa: PLC0415

    return cli.main(sys.argv[1:], child)


if __name__ == "__main__":
    sys.exit(main())
