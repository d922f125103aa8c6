"""Where photographs come from: a folder with one sub-folder a class, or a CSV file."""

from pathlib import Path

from linegate_bundle.errors import DataError
from linegate_training.data.scan import Dataset, scan
from linegate_training.data.table import TABLE_SUFFIX, read_table


def load_dataset(source: Path) -> Dataset:
    """Find and hash all photographs.

    Args:
        source: a folder, see :func:`linegate_training.data.scan.scan`, or a CSV file, see
            :mod:`linegate_training.data.table`.

    Raises:
        DataError: it is neither, or not usable.
    """
    if source.is_file():
        if source.suffix.lower() != TABLE_SUFFIX:
            raise DataError(
                f"{source}: expected a folder with one sub-folder a class, or a CSV file "
                f"({TABLE_SUFFIX})"
            )
        return read_table(source)
    return scan(source)
