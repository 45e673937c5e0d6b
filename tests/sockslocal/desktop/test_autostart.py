import sys
from pathlib import Path

import pytest

from sockslocal.desktop import autostart, linux
from sockslocal.desktop.autostart import found


def test_the_command_beside_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what an installation has; from anywhere else the module is run."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert found() == [str(tmp_path / "python3"), "-P", "-m", "sockslocal"]
    (tmp_path / "sockslocal").touch()
    assert found() == [str(tmp_path / "sockslocal")]


def test_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was frozen into one is started as such."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/sockslocal/sockslocal")
    assert found() == ["/opt/sockslocal/sockslocal"]


def test_another_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is named, whole: at login nobody stands in this folder."""
    monkeypatch.chdir(tmp_path)
    assert found(Path("my.toml"))[-2:] == ["--config", str(tmp_path / "my.toml")]


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has its own")
def test_what_this_platform_has() -> None:
    """The daemon and the tray, neither of them at first."""
    parts = autostart.of_platform(["sockslocal"])
    assert [*parts] == ["daemon", "tray"]
    assert isinstance(parts["daemon"], linux.Daemon)
    assert not any(part.enabled() for part in parts.values())
