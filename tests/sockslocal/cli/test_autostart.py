import json
from pathlib import Path

import pytest

from fakes.cli import CommandLine
from sockslocal.paths import Paths


def test_on_and_off(cli: CommandLine) -> None:
    """Both parts, the daemon and the tray."""
    assert cli("autostart", "on") == (0, "", "sockslocal and its tray start at login\n")
    states = json.loads(cli("autostart", "--json").out)
    assert {name: state["enabled"] for name, state in states.items()} == {"daemon": True, "tray": True}
    assert cli("autostart", "off") == (0, "", "sockslocal and its tray do not start at login\n")
    rows = cli("autostart", "status").out.splitlines()
    assert [row.split()[:2] for row in rows] == [["PART", "AT"], ["daemon", "off"], ["tray", "off"]]


def test_another_configuration_is_named(cli: CommandLine, paths: Paths, tmp_path: Path) -> None:
    """The one that would be found anyway is not."""
    for arguments, named in (((), False), (("--config", str(tmp_path / "x.toml")), True)):
        cli(*arguments, "autostart", "on")
        place = json.loads(cli("autostart", "--json").out)["daemon"]["place"]
        assert ("x.toml" in Path(place).read_text()) == named


def test_what_cannot_be_written(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Is told, with its exit code."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    done = cli("autostart", "on")
    assert done.code == 1
    assert done.err.startswith("error: what starts at login stays as it is, ")
