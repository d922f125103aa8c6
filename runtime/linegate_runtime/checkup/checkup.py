"""All checks, one after the other; what breaks one of them does not keep back the others."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from linegate_runtime.checkup.base import Finding, Subject, failed, guarded, passed, warned
from linegate_runtime.checkup.clock import check_clock_here
from linegate_runtime.checkup.heat import check_heat_here
from linegate_runtime.checkup.packages import (
    BASIC,
    check_imports,
    check_versions,
    import_problems,
    needed_modules,
)
from linegate_runtime.checkup.processor import check_memory, check_processor
from linegate_runtime.checkup.python import check_python
from linegate_runtime.checkup.service import (
    SERVICE_CONFIG,
    SERVICE_USER,
    ServiceState,
    check_service,
    read_service,
)
from linegate_runtime.checkup.users import User, named_user, this_user
from linegate_runtime.config_file import Overrides

if TYPE_CHECKING:
    from linegate_runtime.checkup.disk import Need
    from linegate_runtime.checkup.trial import Held
    from linegate_runtime.config import RunConfig

_NOT_TRIED = "not looked at, since a library does not load"

_FIRST = "first do what is said of the packages"

_OF_RECORD = ("", "-wal", "-shm", ".lock")
"""Endings of the files of a record: SQLite's own, and what keeps others from writing."""


@dataclasses.dataclass(frozen=True)
class Line:
    """The line that is looked at.

    Attributes:
        config: its settings; None takes the installed service's, if there are any.
        overrides: options of the command line over them.
        bundle: what it judges by; None takes that of the settings, and where they name none a
            tiny model.
        service_config: where the service's settings are.
        service_user: who runs the service.
        ask_service: returns the service's state, None without systemd.
    """

    config: Path | None = None
    overrides: Overrides = dataclasses.field(default_factory=Overrides)
    bundle: Path | None = None
    service_config: Path = SERVICE_CONFIG
    service_user: str = SERVICE_USER
    ask_service: Callable[[], ServiceState | None] = read_service


def checkup(line: Line) -> Iterator[Finding]:
    """Look at everything that a line needs, and tell of each thing as soon as it is known."""
    return _Checkup(line).run()


class _Checkup:
    """What one check finds out and others need."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._can_load = True
        self._service: ServiceState | None = None
        self._config: RunConfig | None = None
        self._is_unreadable = False
        self._path: Path | None = None

    def run(self) -> Iterator[Finding]:
        yield from guarded(Subject.PYTHON, check_python)
        yield from guarded(Subject.PACKAGES, check_versions)
        yield from guarded(Subject.PACKAGES, self._imports)
        yield from guarded(Subject.PROCESSOR, lambda: [check_processor()])
        yield from guarded(Subject.MEMORY, lambda: [check_memory()])
        yield from guarded(Subject.SERVICE, self._ask_service)
        yield from guarded(Subject.CONFIGURATION, self._read_config)
        yield from self._engine_and_cameras()
        yield from guarded(Subject.PINS, self._pins)
        yield from guarded(Subject.DISK, self._disks)
        yield from guarded(Subject.CLOCK, lambda: [check_clock_here()])
        yield from guarded(Subject.TEMPERATURE, check_heat_here)

    def _imports(self) -> Iterator[Finding]:
        modules = needed_modules()
        # Until it is known that they load, nothing may load them here.
        self._can_load = False
        problems = import_problems(modules)
        self._can_load = not problems.keys() & set(BASIC)
        yield from check_imports(modules, problems)

    def _ask_service(self) -> Iterator[Finding]:
        try:
            self._service = self._line.ask_service()
        except PermissionError as error:
            yield warned(Subject.SERVICE, f"not told: {error}", "sudo linegate doctor")
            return
        yield check_service(self._service)

    def _read_config(self) -> Iterator[Finding]:
        from linegate_bundle.errors import LinegateError  # noqa: PLC0415

        line = self._line
        path = _settings(line)
        if path is None and line.overrides == Overrides():
            text = f"none given, and no service has any at {line.service_config}"
            yield passed(Subject.CONFIGURATION, f"{text}; only this machine is looked at")
            return
        self._is_unreadable = True
        if not self._can_load:
            yield warned(Subject.CONFIGURATION, _NOT_TRIED, _FIRST)
            return
        from linegate_runtime.config_file import load_config  # noqa: PLC0415

        try:
            self._config = load_config(path, line.overrides)
            self._path, self._is_unreadable = path, False
            self._config.check_plugins()
        except LinegateError as error:
            advice = "correct the settings; a file that only others may read: sudo linegate doctor"
            yield failed(Subject.CONFIGURATION, str(error), advice)
            return
        if self._is_services and self._config.bundle is None:
            advice = 'bundle = "/var/lib/linegate/bundle.linegate" at the head of the settings'
            yield failed(Subject.CONFIGURATION, f"{path} names no bundle", advice)
            return
        yield passed(Subject.CONFIGURATION, _summary(self._config, path))

    def _engine_and_cameras(self) -> Iterator[Finding]:
        user = self._stand_in()
        if user is None:
            yield from guarded(Subject.ENGINE, self._engine)
            yield from guarded(Subject.CAMERA, self._cameras)
        else:
            yield from guarded(Subject.ENGINE, lambda: self._try_as(user))

    def _stand_in(self) -> User | None:
        """Return who tries engine and cameras instead of root; None if this process does.

        The service's bundle belongs to the service's user, so root opens none of it; and what
        root may open says nothing of what the service may.
        """
        if not self._can_load or os.geteuid() != 0 or not self._is_services:
            return None
        return self._user()

    def _try_as(self, user: User) -> Iterator[Finding]:
        from linegate_runtime.checkup.as_user import try_as  # noqa: PLC0415
        from linegate_runtime.checkup.trial import Trial, limit_s  # noqa: PLC0415

        line = self._line
        trial = Trial(
            settings=line.service_config,
            overrides=line.overrides,
            bundle=line.bundle,
            held=self._held,
        )
        cameras = 0 if self._config is None else len(self._config.cameras)
        return try_as(user, trial, limit_s(cameras))

    def _engine(self) -> Iterator[Finding]:
        if not self._can_load:
            yield warned(Subject.ENGINE, _NOT_TRIED, _FIRST)
            return
        from linegate_runtime.checkup.trial import try_engine  # noqa: PLC0415

        yield from try_engine(self._config, self._line.bundle)

    def _cameras(self) -> Iterator[Finding]:
        if not self._can_load:
            yield warned(Subject.CAMERA, _NOT_TRIED, _FIRST)
            return
        if self._is_unreadable:
            text = "not looked at, since the settings cannot be read"
            yield warned(Subject.CAMERA, text, "first correct the settings")
            return
        if self._config is None:
            advice = "give --camera ADDRESS or --config FILE"
            yield warned(Subject.CAMERA, "no camera is configured", advice)
            return
        from linegate_runtime.checkup.trial import try_cameras  # noqa: PLC0415

        yield from try_cameras(self._config, self._held)

    @property
    def _held(self) -> "Held | None":
        """The service while it runs, for it may hold cameras."""
        from linegate_runtime.checkup.trial import Held  # noqa: PLC0415

        service = self._service
        if service is None or not service.is_active:
            return None
        is_own = self._is_services and service.has_read(self._line.service_config)
        return Held(status=service.status, is_own=is_own)

    @property
    def _is_services(self) -> bool:
        """Whether the settings are those of the installed service."""
        is_installed = self._service is not None and self._service.is_installed
        has_own_camera = self._line.overrides.camera is not None
        return is_installed and self._path == self._line.service_config and not has_own_camera

    def _pins(self) -> Iterator[Finding]:
        from linegate_runtime.checkup.pins import check_pins, find_chips  # noqa: PLC0415

        askers = None if self._is_unreadable else _users_of_pins(self._config)
        yield check_pins(askers, self._user(), find_chips())

    def _user(self) -> User | None:
        """Return who runs the line: the service's user, or without a service this one."""
        if self._service is None or not self._service.is_installed:
            return this_user()
        return named_user(self._line.service_user, self._service.groups)

    def _disks(self) -> Iterator[Finding]:
        from linegate_runtime.checkup.disk import check_disks  # noqa: PLC0415
        from linegate_runtime.checkup.folders import check_folders  # noqa: PLC0415

        needs = _needs(self._config)
        if self._service is not None and self._is_services:
            for need in needs:
                if not self._service.may_write(need.folder):
                    text = f"{need.name}: the sandbox keeps the service from {need.folder}"
                    advice = f"sudo systemctl edit linegate: [Service] ReadWritePaths={need.folder}"
                    yield failed(Subject.DISK, text, advice)
        # Others' settings are run by hand, by whoever looks at them.
        user = self._user() if self._is_services else this_user()
        if self._config is not None and user is not None:
            yield from check_folders(needs, user)
        yield from check_disks(needs)


def _settings(line: Line) -> Path | None:
    """Return the file with the settings; None if there is none or a camera was named instead."""
    if line.config is not None or line.overrides.camera is not None:
        return line.config
    try:
        line.service_config.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # It may be there; whoever reads it will say why that cannot be.
        return line.service_config
    return line.service_config


def _summary(config: "RunConfig", path: Path | None) -> str:
    cameras = len(config.cameras)
    kinds = sorted({region.trigger.kind for camera in config.cameras for region in camera.regions})
    sinks = ", ".join(sink.kind for sink in config.sinks) or "none"
    return (
        f"{path or 'the command line'}: {cameras} camera{'s' if cameras > 1 else ''}, "
        f"trigger {', '.join(kinds)}, outputs: {sinks}, record {config.record.absolute()}"
    )


def _users_of_pins(config: "RunConfig | None") -> list[str]:
    """Return what uses pins, such as ``the trigger gpio``."""
    if config is None:
        return []
    families = [family.family for family, plugin in config.plugins if plugin.kind == "gpio"]
    return [f"the {family} gpio" for family in dict.fromkeys(families)]


def _needs(config: "RunConfig | None") -> "list[Need]":
    from linegate_runtime.checkup.disk import Need, size_of  # noqa: PLC0415

    if config is None:
        from linegate_runtime.state import state_folder  # noqa: PLC0415

        return [Need(name="what the device remembers", folder=state_folder(), most_bytes=None)]
    record = Need(
        name="record",
        folder=config.record.parent,
        most_bytes=config.keeping.most_bytes,
        kept_bytes=size_of(config.record),
        is_made=False,
        files=tuple(config.record.with_name(config.record.name + one) for one in _OF_RECORD),
    )
    kept = config.pictures
    if kept is None:
        return [record]
    pictures = Need(
        name="pictures",
        folder=kept.folder,
        most_bytes=kept.most_bytes,
        kept_bytes=size_of(kept.folder),
    )
    return [record, pictures]
