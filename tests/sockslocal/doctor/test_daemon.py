from collections.abc import Callable

import msgspec

from fakes.control import status, stopping
from sockslocal import __version__
from sockslocal.doctor.daemon import section
from sockslocal.doctor.report import Check
from sockslocal.doctor.scene import Scene
from sockslocal.problems import problem
from sockslocal.status import Daemon, Tunnel

Make = Callable[..., Scene]
CURRENT = Daemon(pid=4711, version=__version__, uptime_s=1.0, rss_bytes=31_000_000)


def briefly(scene: Scene) -> list[tuple[str, str]]:
    """Which checks with which verdict."""
    return [(check.id, check.verdict) for check in section(scene).checks]


def test_one_that_runs(scene: Make) -> None:
    """Its process, its switch, its version."""
    assert section(scene(status=status(daemon=CURRENT))).checks == (
        Check("daemon.process", "Process", "good", "process 4711 answers, 31 MB"),
        Check("daemon.tunnel", "Tunnel", "good", "on"),
        Check("daemon.version", "Version", "good", __version__),
    )


def test_none_runs(scene: Make) -> None:
    """It may be meant so."""
    (check,) = section(scene()).checks
    assert (check.id, check.verdict, check.remedy) == ("daemon.not-running", "note", "sockslocal start")


def test_one_that_is_stuck(scene: Make) -> None:
    """That is never meant."""
    stuck = problem("not-answering", pid=1, seconds=5)
    assert briefly(scene(absence=stuck)) == [("daemon.not-answering", "bad")]


def test_what_is_worth_a_look(scene: Make) -> None:
    """It ends, it is switched off, it is of yesterday."""
    ending = msgspec.structs.replace(stopping(3), version="0.0.1")
    assert briefly(scene(status=status(daemon=ending, tunnel=Tunnel(on=False)))) == [
        ("daemon.process", "note"),
        ("daemon.tunnel", "note"),
        ("daemon.version", "note"),
    ]


def test_what_it_is_troubled_by(scene: Make) -> None:
    """Unless that is the configuration, which was looked at already."""
    found = (
        problem("config-invalid", text="line 3", remedy="edit it"),
        problem("descriptors-exhausted", limit=64),
    )
    assert briefly(scene(status=status(daemon=CURRENT, problems=found)))[3:] == [
        ("daemon.descriptors-exhausted", "note")
    ]
