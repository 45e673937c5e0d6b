"""Every check that can be made from outside the daemon, each with the command that mends what it finds.

It works where nothing else does: without a configuration or with a broken one, without a daemon or with one
that is stuck. Every part of the world that may keep one waiting is asked under a deadline.
"""

from collections.abc import Callable, Iterator

from sockslocal.doctor import (
    autostart,
    clock,
    config,
    daemon,
    passwords,
    ports,
    servers,
    system_dns,
    tray_host,
    versions,
)
from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene, look

__all__ = ["Scene", "examine", "look"]

_Maker = Callable[[Scene], Iterator[Section]]


def examine(scene: Scene, tell: Callable[[str], None]) -> Iterator[Section]:
    """All sections, each as soon as it is known; what takes long is told before."""
    for title, maker in _MAKERS:
        if maker is servers.sections and scene.status is not None:
            tell("testing the servers, which takes some seconds")
        yield from _survived(title, maker, scene)


def _survived(title: str, maker: _Maker, scene: Scene) -> Iterator[Section]:
    """The sections of `maker`; one that fails itself is told of, and the others are made all the same."""
    try:
        yield from maker(scene)
    except Exception as error:  # noqa: BLE001  whoever calls a doctor has trouble enough
        text = f"this could not be checked: {type(error).__name__} was raised"
        check = Check(
            "internal", "Check", "note", text, "report it, with: sockslocal doctor --bundle FILE.zip"
        )
        yield Section("internal", title, (check,))


def _one(section: Callable[[Scene], Section]) -> _Maker:
    def sections(scene: Scene) -> Iterator[Section]:
        yield section(scene)

    return sections


_MAKERS: tuple[tuple[str, _Maker], ...] = (
    ("Configuration", _one(config.section)),
    ("Daemon", _one(daemon.section)),
    ("Passwords", _one(passwords.section)),
    ("Servers", servers.sections),
    ("Ports", _one(ports.section)),
    ("System DNS", _one(system_dns.section)),
    ("Tray", _one(tray_host.section)),
    ("Start at login", _one(autostart.section)),
    ("Clock", _one(clock.section)),
    ("Versions", _one(versions.section)),
)
