"""What is on a disk, file by file, to see what an installation changes."""

import hashlib
import os
from pathlib import Path

DATA = "var/lib/linegate"

VOLATILE = ("dev", "proc", "sys", "run", "tmp", "var/tmp", "var/log", "var/lib/systemd", "media")
"""What any system changes by itself."""

SHADOWS = ("etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-", "etc/subuid-", "etc/subgid-")
"""Copies that the system's own programs keep when they add a user."""


def files(root: Path) -> dict[str, str]:
    """Return what every file, link and folder is, by its path; data of the line left out."""
    found = {}
    for folder, folders, names in os.walk(root):
        inside = os.path.relpath(folder, root)
        if inside in VOLATILE or inside == DATA:
            folders[:] = []
            continue
        for name in [*folders, *names]:
            path = Path(folder, name)
            place = str(Path(inside, name))
            if place not in SHADOWS:
                found[place] = fingerprint(path)
    return found


def fingerprint(path: Path) -> str:
    status = path.lstat()
    head = f"{status.st_mode:o} {status.st_uid} {status.st_gid}"
    if path.is_symlink():
        return f"{head} -> {path.readlink()}"
    if not path.is_file():
        return head
    return f"{head} {status.st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {place for place in {*before, *after} if before.get(place) != after.get(place)}


def data_files(root: Path) -> dict[str, str]:
    """Return the same of the line's data alone."""
    return {str(path): fingerprint(path) for path in sorted((root / DATA).rglob("*"))}
