from collections.abc import Callable, Iterator

import pytest

from fakes.control import status
from sockslocal import doctor
from sockslocal.doctor.report import Section
from sockslocal.doctor.scene import Scene

Make = Callable[..., Scene]


def test_every_section_is_there(scene: Make) -> None:
    """In the order in which one thing needs the other."""
    told: list[str] = []
    found = [section.id for section in doctor.examine(scene(), told.append)]
    assert found == [
        *("config", "daemon", "keyring", "server", "ports"),
        *("system-dns", "tray-host", "autostart", "clock", "versions"),
    ]
    assert told == []


def test_who_waits_is_told(scene: Make) -> None:
    """Servers take seconds, where there is a daemon to test them."""
    told: list[str] = []
    list(doctor.examine(scene(status=status()), told.append))
    assert told == ["testing the servers, which takes some seconds"]


def test_a_check_that_breaks_does_not_break_the_others(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of, as something to report."""

    def broken(_scene: Scene) -> Iterator[Section]:
        raise KeyError
        yield

    monkeypatch.setattr(doctor, "_MAKERS", (("Clock", broken), doctor._MAKERS[-1]))
    first, last = doctor.examine(scene(), lambda _text: None)
    assert (first.id, first.title, first.verdict) == ("internal", "Clock", "note")
    assert "KeyError" in first.checks[0].text
    assert last.id == "versions"
