import subprocess
import sys

import pytest

from sockslocal.paths import Paths
from sockslocal_tray import __main__, app, backends
from sockslocal_tray.app import only_one
from sockslocal_tray.backends import Backend

MODULE = [sys.executable, "-m", "sockslocal_tray"]


class FakeApp:
    """Instead of a tray: how it was made, and how it ends."""

    made: list[tuple[Paths, str, bool]] = []  # noqa: RUF012  set anew by each test
    ends_with: BaseException | None = None

    def __init__(self, paths: Paths, backend: Backend, *, dark: bool) -> None:
        self.made.append((paths, backend.name, dark))

    def run(self) -> None:
        if self.ends_with:
            raise self.ends_with


@pytest.fixture(autouse=True)
def _no_tray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A desktop with a panel, and nothing that runs."""
    monkeypatch.setattr(FakeApp, "made", [])
    monkeypatch.setattr(app, "App", FakeApp)
    monkeypatch.setattr(backends, "find", lambda wait: Backend(f"after {wait}", None))


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """What the process would have exited with."""
    monkeypatch.setattr("sys.argv", ["sockslocal tray", *words])
    return __main__.main()


@pytest.mark.parametrize(("panel", "dark"), [("dark", True), ("light", False)])
def test_the_tray_is_run_as_told(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, panel: str, *, dark: bool
) -> None:
    """With the configuration, the patience and the colour that were given; it logs beside the daemon."""
    assert run(monkeypatch, "--config", str(paths.config), "--wait", "3", "--panel", panel) == 0
    assert FakeApp.made == [(paths, "after 3.0", dark)]
    assert "the icon is shown by after 3.0" in (paths.state / "tray.log").read_text()


def test_unless_told_the_desktop_is_asked(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the colour of its panel."""
    monkeypatch.setattr("sockslocal_tray.panel.is_dark", lambda: False)
    run(monkeypatch, "--config", str(paths.config))
    assert FakeApp.made == [(paths, "after 0.0", False)]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), ConnectionError("the session has ended")])
def test_ctrl_c_and_the_end_of_the_desktop_are_no_errors(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    """Both are the way to leave."""
    monkeypatch.setattr(FakeApp, "ends_with", end)
    assert run(monkeypatch, "--config", str(paths.config), "--panel", "dark") == 0


def test_a_second_tray_says_so(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves the first one alone."""
    with only_one(paths):
        assert run(monkeypatch) == 0
    assert capsys.readouterr().err == "sockslocal's tray runs already\n"
    assert FakeApp.made == []


@pytest.mark.usefixtures("paths")
def test_no_desktop_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do instead; it is no error."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run(MODULE, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "no icon can be shown: there is no desktop here.",
        "Nothing else is missing: sockslocal status, sockslocal on, sockslocal off",
    ]


def test_the_process_is_small() -> None:
    """It has no loop of asyncio, and none of the libraries of keyring and resolver."""
    parts = ", ".join(f"sockslocal_tray.{name}" for name in ("app", "xembed", "sni.icon"))
    script = f"import sys, {parts}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"asyncio", "keyring", "secretstorage", "dns", "psutil"} & set(done.stdout.split()) == set()
