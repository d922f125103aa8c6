"""Makes ``tests/data/tiny.linegate`` anew: a real bundle of a real net, trained in seconds.

Run it after a change of the bundle's format: ``python -m tests.export.make_fixture``.
The device's tests run its models in the real engines, without TensorFlow. Its
pictures are generated: a bright round blob is a defect.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "data" / "tiny.linegate"
LARGEST_BYTES = 220_000


def say(line: str) -> None:
    """Tell a step."""
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Train, export and put the bundle in its place."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import msgspec

    from linegate_export.exporter import export
    from linegate_export.options import ExportOptions
    from tests.export import nets

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        rows = nets.write_pictures(data, nets.PLAIN_AND_BLOB, nets.PARTS)
        model = nets.conv_net()
        nets.fit(model, rows, data, nets.PLAIN_AND_BLOB)
        example = nets.write_run(folder / "run", model, rows, data, nets.PLAIN_AND_BLOB)
        # The manifest keeps no path, but the run's record does; none of it is in the bundle.
        record = msgspec.structs.replace(example.run.read_record(), name="tiny")
        example.run.write_record(record)
        options = ExportOptions(run=example.run.path, out=folder / "out")
        result = export(options, say)
        size = result.outputs.bundle.stat().st_size
        if size > LARGEST_BYTES:
            raise SystemExit(f"expected at most {LARGEST_BYTES} bytes, got {size}")
        TARGET.parent.mkdir(exist_ok=True)
        shutil.copyfile(result.outputs.bundle, TARGET)
        say(f"{TARGET}: {size} bytes")


if __name__ == "__main__":
    main()
