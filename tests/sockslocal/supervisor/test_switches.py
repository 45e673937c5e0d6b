from pathlib import Path

import pytest

from sockslocal.supervisor import Switches
from sockslocal.supervisor.switches import RETRY_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the switches are kept, in a folder that is not there yet."""
    return tmp_path / "state" / "switches.json"


def test_everything_is_on_at_first(path: Path) -> None:
    """And nothing is written before a switch is used."""
    switches = Switches(path)
    assert switches.tunnel
    assert switches.is_on("db")
    assert not path.exists()


def test_switches_outlive_the_process(path: Path) -> None:
    """The tunnel's and each forward's, on its own."""
    switches = Switches(path)
    switches.set("db", on=False)
    switches.set("web", on=False)
    switches.set("web", on=True)
    switches.set("never off", on=True)
    switches.set_tunnel(on=False)
    again = Switches(path)
    assert (again.tunnel, again.is_on("db"), again.is_on("web")) == (False, False, True)
    again.set_tunnel(on=True)
    assert Switches(path).tunnel
    assert not Switches(path).is_on("db")


def test_the_file_is_the_users_own(path: Path) -> None:
    """Nobody else reads or writes it."""
    Switches(path).set_tunnel(on=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"off": 7}',
        b'{"tunnel": "no"}',
        b"\xff\xfe",
        b'{"x": ' + b"[" * 100_000,
        b" " * 300_000,
    ],
)
def test_a_file_that_cannot_be_read_switches_nothing_off(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything is on, the log says why, and the next switch mends the file."""
    path.parent.mkdir()
    path.write_bytes(content)
    switches = Switches(path)
    assert switches.tunnel
    assert switches.is_on("db")
    assert "everything is on" in caplog.text
    switches.set("db", on=False)
    assert not Switches(path).is_on("db")


def test_a_switch_works_where_it_cannot_be_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, or a file in place of the folder: only the memory of it is lost, and that is said."""
    path.parent.write_text("in the way")
    switches = Switches(path)
    switches.set("db", on=False)
    assert not switches.is_on("db")
    assert "cannot be written" in caplog.text
    assert switches.problem is not None
    assert switches.problem.code == "switches-unkept"
    assert switches.problem.remedy == f"ls -ld {path.parent}"
    path.parent.unlink()
    switches.set("web", on=False)
    assert switches.problem is None
    assert not Switches(path).is_on("db")


def test_what_could_not_be_kept_is_written_later(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once what hinders it is mended, and not at every look; what still hinders it is told once."""
    now = 1000.0
    path.parent.write_text("in the way")
    switches = Switches(path, lambda: now)
    switches.set("db", on=False)
    now += RETRY_S
    switches.retry()
    assert switches.problem is not None
    path.parent.unlink()
    now += RETRY_S - 1
    switches.retry()
    assert switches.problem is not None
    now += 1
    switches.retry()
    assert switches.problem is None
    assert not Switches(path).is_on("db")
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
