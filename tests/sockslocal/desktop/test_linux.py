import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.systemctl import UserManager, user_manager
from sockslocal.desktop import linux
from sockslocal.desktop.linux import Entry, parts, unit
from sockslocal.errors import SockslocalError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")

PROGRAM = ("/opt/sockslocal/bin/sockslocal",)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder without anything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def manager(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    """A systemd for the user."""
    with pytest.MonkeyPatch.context() as patch, user_manager(tmp_path_factory.mktemp("m"), patch) as running:
        yield running


def test_a_unit_where_there_is_systemd(home: Path, manager: UserManager) -> None:
    """It is written with the program that was found, read, and enabled; neither started nor stopped."""
    daemon = parts(PROGRAM)["daemon"]
    assert not daemon.enabled()
    daemon.enable()
    assert daemon.enabled()
    assert daemon.place == "systemd: sockslocal.service"
    path = home / ".config/systemd/user/sockslocal.service"
    assert path.read_text() == unit(PROGRAM)
    assert manager.told == ["--user daemon-reload", "--user enable sockslocal.service"]
    daemon.disable()
    assert not daemon.enabled()
    assert manager.told[2:] == ["--user disable sockslocal.service"]


def test_an_entry_where_there_is_none(home: Path) -> None:
    """The desktop starts the daemon then, as it does the tray."""
    both = parts(PROGRAM)
    for part in both.values():
        assert not part.enabled()
        part.enable()
        assert part.enabled()
    folder = home / ".config/autostart"
    assert sorted(path.name for path in folder.iterdir()) == ["sockslocal-tray.desktop", "sockslocal.desktop"]
    assert "Exec=/opt/sockslocal/bin/sockslocal start\n" in (folder / "sockslocal.desktop").read_text()
    tray = (folder / "sockslocal-tray.desktop").read_text()
    assert "Exec=/opt/sockslocal/bin/sockslocal tray --wait 1m\n" in tray
    assert both["daemon"].place == str(folder / "sockslocal.desktop")
    for part in both.values():
        part.disable()
        part.disable()
    assert [*folder.iterdir()] == []


def test_systemd_that_comes_later(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Takes over from the entry: one of the two is enough."""
    daemon = parts(PROGRAM)["daemon"]
    daemon.enable()
    with pytest.MonkeyPatch.context() as patch, user_manager(tmp_path_factory.mktemp("m"), patch):
        assert daemon.enabled()
        assert daemon.place.endswith("sockslocal.desktop")
        daemon.enable()
        assert daemon.place == "systemd: sockslocal.service"
    assert daemon.enabled(), "as the next login finds it, whoever looks from where no systemd can be told"
    daemon.disable()
    assert not daemon.enabled()


def test_the_unit_of_a_package(
    home: Path, manager: UserManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is used as it is, so that its upgrades are; what is another than that hides it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/sockslocal.service").write_text(unit(PROGRAM))
    monkeypatch.setattr(linux, "_PACKAGED", (str(tmp_path / "lib"),))
    path = home / ".config/systemd/user/sockslocal.service"
    parts([*PROGRAM, "--config", "/x"])["daemon"].enable()
    assert path.exists()
    parts(PROGRAM)["daemon"].enable()
    assert not path.exists()


def test_systemd_that_refuses(home: Path, manager: UserManager) -> None:
    """Its own words are told, and the command that shows more."""
    manager.fail()
    with pytest.raises(SockslocalError) as caught:
        parts(PROGRAM)["daemon"].enable()
    assert caught.value.problem.text.endswith("systemd: sockslocal.service: Failed to connect to bus")
    assert caught.value.problem.remedy == "systemctl --user daemon-reload"


def test_systemd_that_cannot_be_told(
    home: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for without end."""

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("systemctl", 20)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(SockslocalError, match="systemctl does not answer"):
        parts(PROGRAM)["daemon"].enable()


def test_systemd_that_says_nothing(home: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit status is told."""
    silent = subprocess.CompletedProcess(["systemctl"], 4, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: silent)
    with pytest.raises(SockslocalError, match="exit status 4"):
        parts(PROGRAM)["daemon"].enable()


def test_words_of_a_unit() -> None:
    """Nothing in a path is taken for a quotation mark, a specifier or a variable."""
    text = unit(['/opt/a b"\\/sockslocal', "--config", "/50%/$HOME"])
    assert '\nExecStart="/opt/a b\\"\\\\/sockslocal" --config /50%%/$$HOME run --log-to-file\n' in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no complaint about it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "sockslocal.service"
    path.write_text(unit(["/bin/true"]))
    command = ["systemd-analyze", "--user", "--man=no", "verify", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_words_of_an_entry(home: Path) -> None:
    """Quoted as the specification wants, and escaped as every text of an entry."""
    entry = Entry(home / "x.desktop", "x", ("/opt/a b/sockslocal", '"`$\\%', "plain-1.0"))
    entry.enable()
    line = next(line for line in (home / "x.desktop").read_text().splitlines() if line.startswith("Exec="))
    assert line == 'Exec="/opt/a b/sockslocal" "\\\\"\\\\`\\\\$\\\\\\\\%%" plain-1.0'


@pytest.mark.skipif(
    shutil.which("desktop-file-validate") is None, reason="desktop-file-utils is not installed"
)
def test_the_desktop_understands_the_entries(home: Path) -> None:
    """They are what the specification says."""
    for part in parts([*PROGRAM, "--config", "/my files/50%.toml"]).values():
        part.enable()
        subprocess.run(["desktop-file-validate", part.place], check=True)


@pytest.mark.parametrize("line", ["Hidden=true", "X-GNOME-Autostart-enabled=false"])
def test_an_entry_that_the_desktop_switched_off(home: Path, line: str) -> None:
    """Their settings leave the file where it is."""
    tray = parts(PROGRAM)["tray"]
    tray.enable()
    path = Path(tray.place)
    path.write_text(path.read_text().replace("X-GNOME-Autostart-enabled=true", line))
    assert not tray.enabled()
