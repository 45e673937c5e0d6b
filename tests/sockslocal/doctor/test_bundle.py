import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.control import status
from sockslocal import log
from sockslocal.doctor import bundle
from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene, look
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.secret import Secret

Make = Callable[..., Scene]
CANARY = "cänary-9fe1c7"
CONFIG = f'[server.office]\naddress = "proxy:1080"\nusername = "ana"\npassword = "{CANARY}"\n'


@pytest.fixture(autouse=True)
def _nothing_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests have concealed is forgotten afterwards."""
    monkeypatch.setattr(log, "_concealed", {})
    monkeypatch.setattr(log, "_any_concealed", None)


def parts(path: Path) -> dict[str, str]:
    """The texts in the archive by their names."""
    with zipfile.ZipFile(path) as file:
        return {name.removeprefix("sockslocal/"): file.read(name).decode() for name in file.namelist()}


def quoting(text: str) -> list[Section]:
    """A section that quotes it."""
    return [Section("a", "A", (Check("a.1", "One", "bad", f'there is no key "{text}"'),))]


def test_all_that_helps(scene: Make, tmp_path: Path) -> None:
    """Configuration, checks, status and log, for nobody else to read."""
    made = scene('[server.office]\naddress = "proxy:1080"\n', status=status())
    made.paths.state.mkdir()
    made.paths.log.write_text("one\ntwo\n")
    target = tmp_path / "report.zip"
    bundle.write(target, made, quoting("x"))
    found = parts(target)
    assert found["config.toml"] == '[server.office]\naddress = "proxy:1080"\n'
    assert json.loads(found["doctor.json"])["verdict"] == "bad"
    assert json.loads(found["status.json"])["daemon"]["pid"] == 4711
    assert found["log.txt"] == "one\ntwo\n"
    assert found["start.txt"] == "No such file or directory\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_no_password(scene: Make, tmp_path: Path) -> None:
    """Not from the file, where it does not belong, nor where that is quoted, nor one that was just read."""
    made = scene(CONFIG)
    made.paths.state.mkdir()
    Secret(f"{CANARY}-read")
    made.paths.log.write_text(f"{CANARY} {CANARY!a} {CANARY}-read\n")
    target = tmp_path / "report.zip"
    bundle.write(target, made, quoting(CANARY))
    found = parts(target)
    assert "proxy:1080" in found["config.toml"]
    assert [name for name, text in found.items() if "9fe1c7" in text] == []
    assert json.loads(found["status.json"]) is None


def test_without_a_configuration(paths: Paths, tmp_path: Path) -> None:
    """The rest is there."""
    target = tmp_path / "report.zip"
    bundle.write(target, look(paths), [])
    assert parts(target)["config.toml"] == "# No such file or directory\n"


def test_of_a_long_log_the_end(scene: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what is of interest."""
    monkeypatch.setattr(bundle, "LOG_OCTETS", 6)
    made = scene()
    made.paths.state.mkdir()
    made.paths.log.write_text("before\nafter\n")
    bundle.write(tmp_path / "a.zip", made, [])
    assert parts(tmp_path / "a.zip")["log.txt"] == "after\n"


def test_nothing_is_overwritten(scene: Make, tmp_path: Path) -> None:
    """Another name is proposed."""
    target = tmp_path / "report.zip"
    target.write_text("mine")
    with pytest.raises(SockslocalError, match=r"cannot be written: File exists"):
        bundle.write(target, scene(), [])
    assert target.read_text() == "mine"
