"""``linegate doctor``: disks of all kinds, full, read-only and fleeting."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.checkup.base import Outcome
from linegate_runtime.checkup.disk import Need, Room, check_disk, check_disks, look_at, size_of
from linegate_runtime.checkup.mounts import (
    Kind,
    Mount,
    kind_of,
    mount_of,
    parse_mounts,
    read_mounts,
)

MB = 1_000_000
TEXT = """\
27 1 254:0 / / rw,relatime - ext4 /dev/root rw,discard
28 27 0:25 / /run rw,nosuid shared:5 master:1 - tmpfs tmpfs rw,size=4k
29 27 8:1 / /mnt/with\\040space rw - vfat /dev/sda1 rw
30 27 0:26 / /mnt/with\\040space rw - overlay overlay rw
no mount
"""


def mount(device: str = "179:2", filesystem: str = "ext4", source: str = "/dev/root") -> Mount:
    return Mount(place="/", device=device, filesystem=filesystem, source=source)


def test_mounts_are_read() -> None:
    mounts = parse_mounts(TEXT)
    assert [one.place for one in mounts] == ["/", "/run", "/mnt/with space", "/mnt/with space"]
    assert mounts[0] == mount("254:0")
    assert mounts[1].filesystem == "tmpfs"
    assert read_mounts()


@given(st.text())
def test_any_text_can_be_read_as_mounts(text: str) -> None:
    assert isinstance(parse_mounts(text), list)


def test_a_path_lies_on_the_deepest_and_newest_mount_above_it() -> None:
    mounts = parse_mounts(TEXT)
    assert mount_of(Path("/runtime/x"), mounts).place == "/"
    assert mount_of(Path("/run/x"), mounts).filesystem == "tmpfs"
    assert mount_of(Path("/mnt/with space/x"), mounts).filesystem == "overlay"
    assert mount_of(Path("/x"), []).filesystem == ""


def make_device(sys: Path, path: str, files: dict[str, str], device: str = "179:2") -> None:
    """Lay out a block device as Linux shows it below /sys."""
    folder = sys / "devices" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    links = sys / "dev/block"
    links.mkdir(parents=True, exist_ok=True)
    (links / device).symlink_to(folder)


@pytest.mark.parametrize(
    ("path", "files", "kind"),
    [
        ("mmc0/block/mmcblk0", {"device/type": "SD"}, Kind.SD_CARD),
        ("mmc0/block/mmcblk0", {"device/type": "MMC"}, Kind.EMMC),
        ("pci/usb1/1-1/block/sda", {"queue/rotational": "1"}, Kind.USB),
        ("pci/nvme/nvme0n1", {}, Kind.NVME),
        ("pci/ata1/block/sda", {"queue/rotational": "0"}, Kind.SSD),
        ("pci/ata1/block/sda", {"queue/rotational": "1"}, Kind.SPINNING),
        ("virtio/block/vda", {"queue/rotational": "1"}, Kind.VIRTUAL),
        ("pci/block/strange", {}, Kind.UNKNOWN),
    ],
)
def test_the_kind_of_a_disk_is_told(
    tmp_path: Path, path: str, files: dict[str, str], kind: Kind
) -> None:
    make_device(tmp_path, path, files)
    assert kind_of(mount(), tmp_path) is kind


def test_a_partition_is_on_the_disk_that_holds_it(tmp_path: Path) -> None:
    make_device(tmp_path, "mmc0/block/mmcblk0", {"device/type": "SD"}, "179:0")
    make_device(tmp_path, "mmc0/block/mmcblk0/mmcblk0p2", {"partition": "2"})
    assert kind_of(mount(), tmp_path) is Kind.SD_CARD


def test_an_encrypted_volume_is_on_the_disk_below_it(tmp_path: Path) -> None:
    make_device(tmp_path, "pci/nvme/nvme0n1", {"nvme0n1p1/partition": "1"}, "259:0")
    make_device(tmp_path, "virtual/block/dm-0", {})
    (tmp_path / "devices/virtual/block/dm-0/slaves").mkdir()
    partition = tmp_path / "devices/pci/nvme/nvme0n1/nvme0n1p1"
    (tmp_path / "devices/virtual/block/dm-0/slaves/nvme0n1p1").symlink_to(partition)
    assert kind_of(mount(), tmp_path) is Kind.NVME


def test_filesystems_that_number_themselves_are_found_by_their_source(tmp_path: Path) -> None:
    make_device(tmp_path, "mmc0/block/mmcblk0", {"device/type": "SD"})
    (tmp_path / "class/block").mkdir(parents=True)
    (tmp_path / "class/block/mmcblk0").symlink_to(tmp_path / "devices/mmc0/block/mmcblk0")
    assert kind_of(mount("0:31", "btrfs", "/dev/mmcblk0"), tmp_path) is Kind.SD_CARD
    assert kind_of(mount("0:31", "zfs", "tank/data"), tmp_path) is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("filesystem", "kind"),
    [("tmpfs", Kind.MEMORY), ("overlay", Kind.OVERLAY), ("nfs4", Kind.NETWORK)],
)
def test_what_is_no_disk_of_the_board_is_a_warning(filesystem: str, kind: Kind) -> None:
    assert kind_of(mount(filesystem=filesystem)) is kind
    assert check_disk([need()], room(kind=kind)).outcome is Outcome.WARNING


def need(most_mb: int | None = 2000, kept_mb: int = 0) -> Need:
    most_bytes = None if most_mb is None else most_mb * MB
    return Need(name="record", folder=Path("/data"), most_bytes=most_bytes, kept_bytes=kept_mb * MB)


def room(free_mb: int = 10_000, kind: Kind = Kind.SD_CARD, *, is_read_only: bool = False) -> Room:
    return Room(
        folder=Path("/data"),
        mount=mount(),
        kind=kind,
        free_bytes=free_mb * MB,
        is_read_only=is_read_only,
    )


def test_room_for_all_that_may_be_kept_is_ok() -> None:
    finding = check_disk([need(), need(1000)], room())
    assert finding.outcome is Outcome.OK
    assert finding.detail == "record and record: /data on an SD card, 10000 MB free"


def test_less_room_than_may_be_kept_is_a_warning() -> None:
    finding = check_disk([need(2000), need(1000, kept_mb=400)], room(2600))
    assert finding.outcome is Outcome.WARNING
    assert "may grow by 2600 MB, so expected 2664 MB free" in finding.detail
    assert check_disk([need(2000), need(1000, kept_mb=500)], room(2600)).outcome is Outcome.OK
    assert check_disk([need(None)], room(100)).outcome is Outcome.OK


def test_hardly_any_room_and_a_read_only_disk_are_failures() -> None:
    full = check_disk([need(None)], room(63))
    assert full.outcome is Outcome.FAILED
    assert "63 MB free, expected at least 64 MB" in full.detail
    locked = check_disk([need()], room(is_read_only=True))
    assert (locked.outcome, "read-only" in locked.detail) == (Outcome.FAILED, True)


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    found = look_at(tmp_path / "not" / "there")
    assert found.folder == tmp_path
    assert found.free_bytes > 0


def test_proc_itself_is_a_disk_without_room() -> None:
    (finding,) = check_disks([Need(name="record", folder=Path("/proc"), most_bytes=None)])
    assert finding.outcome is Outcome.FAILED


def test_a_disk_is_judged_once(tmp_path: Path) -> None:
    needs = [
        Need(name="record", folder=tmp_path, most_bytes=None),
        Need(name="pictures", folder=tmp_path / "pictures", most_bytes=None),
    ]
    (finding,) = check_disks(needs)
    assert finding.detail.startswith(f"record and pictures: {tmp_path} on ")


def test_what_is_kept_already_is_counted(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "one.jpg").write_bytes(b"12345")
    (tmp_path / "two.jpg").write_bytes(b"123")
    (tmp_path / "round").symlink_to(tmp_path)
    assert size_of(tmp_path / "two.jpg") == 3
    assert size_of(tmp_path) == 8 + (tmp_path / "round").lstat().st_size
    assert size_of(tmp_path / "nothing") == 0
