"""Names every file of an environment that is not as its wheel had it; ends with 1 if there is one.

Runs on the board's own Python, isolated: ``python3 -I damage.py ENVIRONMENT``.
"""

import base64
import csv
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path


def altered(site: Path) -> Iterator[str]:
    """Yield what differs from the hashes that wheels bring (PyPA: recording installed projects)."""
    for record in site.glob("*.dist-info/RECORD"):
        for name, expected, _ in csv.reader(record.read_text().splitlines()):
            kind, _, digest = expected.partition("=")
            if kind == "sha256" and digest != _digest(site / name):
                yield f"{site / name}: missing or altered"


def _digest(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def missing(site: Path, requirements: Path) -> Iterator[str]:
    """Yield what is listed without a marker and not installed."""
    there = {_normal(one.stem.rpartition("-")[0]) for one in site.glob("*.dist-info")}
    for line in requirements.read_text().splitlines():
        name, found, _ = line.partition("==")
        if found and ";" not in line and _normal(name) not in there:
            yield f"{name}: missing"


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def main(environment: Path) -> int:
    """Name all on standard error."""
    (site,) = environment.glob("lib/python3*/site-packages")
    found = [*altered(site), *missing(site, environment / "requirements.txt")]
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
