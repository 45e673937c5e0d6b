from collections.abc import Callable
from pathlib import Path

from fakes.config import FORWARD, SERVER
from fakes.control import status, using
from sockslocal.doctor.config import section
from sockslocal.doctor.scene import Scene, look
from sockslocal.paths import Paths

Make = Callable[..., Scene]


def test_a_valid_one_is_summed_up(scene: Make) -> None:
    """With what it has."""
    (check,) = section(
        scene(f'{FORWARD}[dns]\nlisten = "127.0.0.1:53"\nupstreams = ["udp://9.9.9.9"]')
    ).checks
    assert (check.id, check.verdict) == ("config.file", "good")
    assert check.text.endswith("is valid: 1 server, 1 forward, a resolver")


def test_what_is_missing_is_a_note(scene: Make) -> None:
    """The next step is told."""
    assert [(check.id, check.verdict) for check in section(scene()).checks] == [
        ("config.file", "good"),
        ("config.servers", "note"),
    ]
    forwards = section(scene(SERVER)).checks[1]
    assert (forwards.id, forwards.remedy.split()[:3]) == ("config.forwards", ["sockslocal", "forward", "add"])


def test_every_fault_is_told_with_its_line(scene: Make) -> None:
    """And nothing else of the file."""
    broken = section(scene('[server.office]\naddress = 3\nusernam = "ana"\n'))
    assert broken.verdict == "bad"
    assert [(check.id, check.title) for check in broken.checks] == [
        ("config.invalid", "Line 3"),
        ("config.invalid", "Line 2"),
    ]


def test_no_file(paths: Paths) -> None:
    """It has no line."""
    (check,) = section(look(paths)).checks
    assert (check.id, check.title, check.verdict) == ("config.missing", "File", "bad")


def test_a_daemon_with_another_file(scene: Make) -> None:
    """What is in this one does not matter then."""
    other = status(daemon=using(Path("/elsewhere.toml")))
    check = section(scene(FORWARD, status=other)).checks[-1]
    assert (check.id, check.verdict) == ("config.in-use", "note")
    assert "/elsewhere.toml" in check.text
