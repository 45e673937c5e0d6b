import sys
from collections.abc import Callable

import pytest

from sockslocal.doctor import tray_host
from sockslocal.doctor.scene import Scene
from sockslocal.doctor.tray_host import section

Make = Callable[..., Scene]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a child takes its time."""
    monkeypatch.setattr(tray_host, "DEADLINE_S", 60.0)


def saying(word: str) -> list[str]:
    """A child that finds that."""
    return [sys.executable, "-c", f"print({word!r}, end='')"]


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("status-notifier", "good"),
        ("xembed", "good"),
        ("none", "note"),
        ("no-desktop", "unknown"),
        ("", "note"),
    ],
)
def test_what_is_found(scene: Make, word: str, verdict: str) -> None:
    """No place for an icon is no fault: all else works."""
    (check,) = section(scene(), saying(word)).checks
    assert (check.id, check.verdict) == ("tray-host", verdict)
    assert bool(check.remedy) == (verdict == "note")


def test_a_desktop_that_is_stuck(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for longer than a moment."""
    monkeypatch.setattr(tray_host, "DEADLINE_S", 0.1)
    stuck = [sys.executable, "-c", "import time; time.sleep(600)"]
    (check,) = section(scene(), stuck).checks
    assert check.text == "the desktop did not say whether it shows icons"


def test_the_child_itself(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs, and says something that is known."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert section(scene()).verdict == "unknown"
