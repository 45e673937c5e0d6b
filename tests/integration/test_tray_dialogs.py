"""The real dialogs on a real screen: what is typed comes back."""

import shutil
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from fakes.panel import Screen, screen
from fakes.session_bus import session_bus
from fakes.session_keyring import MISSING as NO_KEYRING
from fakes.session_keyring import gnome_keyring
from fakes.waiting import wait_until
from sockslocal import children
from sockslocal.secret import Secret
from sockslocal_tray import commands, dialogs

MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
WITHOUT = {"zenity": shutil.which("zenity") is None, "tk": find_spec("_tkinter") is None}

needs_screen = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """An empty screen, which is ours."""
    with screen(tmp_path) as on:
        monkeypatch.setenv("DISPLAY", on.name)
        yield on


@pytest.fixture(params=["zenity", "tk"])
def dialog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this one can be found."""
    if WITHOUT[request.param]:
        pytest.skip(f"not installed: {request.param}")
    every = dialogs._dialogs
    place = {"zenity": 0, "tk": -1}[request.param]
    monkeypatch.setattr(dialogs, "_dialogs", lambda question: [list(every(question))[place]])


class Asked:
    """A dialog that waits for an answer."""

    def __init__(self, shown: Screen) -> None:
        self.answers: list[Secret | None] = []
        self._screen = shown
        self._thread = threading.Thread(target=lambda: self.answers.append(dialogs.password("a_b<i>&")))
        self._thread.start()
        shown.wait_for(lambda now: now.getbbox() is not None, "a dialog")
        left, top, right, bottom = shown.picture().getbbox() or (0, 0, 0, 0)
        shown.click(((left + right) // 2, (top + bottom) // 2 - 8))  # its field, which then gets the keys

    def press_until_it_ends(self, key: str) -> Secret | None:
        """Nothing may have been listening yet, so press again and again."""

        def is_over() -> bool:
            self._screen.press(key)
            return bool(self.answers)

        wait_until(is_over, seconds=20, what="an answer")
        self._thread.join(10)
        return self.answers[0]


@needs_screen
@pytest.mark.usefixtures("dialog")
def test_what_is_typed_comes_back(shown: Screen) -> None:
    """And is shown nowhere, not even by its length once it is here."""
    asked = Asked(shown)
    before = shown.picture().tobytes()
    for key in "hunter2":
        shown.press(key)
    shown.wait_for(lambda now: now.tobytes() != before, "the typing")
    assert asked.press_until_it_ends("Return") == Secret("hunter2")


@needs_screen
@pytest.mark.usefixtures("dialog")
def test_a_dialog_that_is_closed_gives_none(shown: Screen) -> None:
    """By a key, too."""
    assert Asked(shown).press_until_it_ends("Escape") is None


@pytest.mark.skipif(bool(NO_KEYRING), reason=f"not installed: {', '.join(NO_KEYRING)}")
def test_an_unlocked_keyring_needs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is locked, where nothing can ask, is not unlocked."""
    with session_bus(tmp_path) as bus, gnome_keyring(bus) as keyring:
        for name, value in bus.environment.items():
            monkeypatch.setenv(name, value)
        command = children.command_of("sockslocal_tray.unlock")
        assert commands.run(command, seconds=30).code == 0
        keyring.lock()
        assert commands.run(command, seconds=30).code == 1
