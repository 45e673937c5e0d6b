import os
import sys
from pathlib import Path

import pytest

from sockslocal.paths import find


@pytest.fixture
def home() -> Path:
    """The home folder that the test has."""
    return Path(os.environ["HOME"])


def test_environment_moves_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place can be moved by its variable."""
    monkeypatch.setenv("SOCKSLOCAL_CONFIG", "/a/b.toml")
    monkeypatch.setenv("SOCKSLOCAL_RUNTIME_DIR", "/r")
    monkeypatch.setenv("SOCKSLOCAL_STATE_DIR", "/s")
    paths = find()
    assert paths.config == Path("/a/b.toml")
    assert paths.runtime == Path("/r")
    assert paths.state == Path("/s")
    assert (paths.log, paths.switches, paths.profiles, paths.answers) == (
        Path("/s/sockslocal.log"),
        Path("/s/switches.json"),
        Path("/s/profiles.json"),
        Path("/s/dns-answers"),
    )


def test_option_goes_before_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line says wins, and an empty variable says nothing."""
    monkeypatch.setenv("SOCKSLOCAL_CONFIG", "/a/b.toml")
    assert find("/c.toml").config == Path("/c.toml")
    monkeypatch.setenv("SOCKSLOCAL_CONFIG", "")
    assert find().config.name == "config.toml"


@pytest.mark.skipif(sys.platform != "linux", reason="the places of other platforms are platformdirs'")
def test_places_on_linux(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    """By default the places are those of the XDG folders."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    paths = find()
    assert paths.config == home / ".config/sockslocal/config.toml"
    assert paths.state == home / ".local/state/sockslocal"
    assert paths.runtime == tmp_path / "sockslocal"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xc")
    monkeypatch.setenv("XDG_STATE_HOME", "/xs")
    assert find().config == Path("/xc/sockslocal/config.toml")
    assert find().state == Path("/xs/sockslocal")


@pytest.mark.skipif(sys.platform != "linux", reason="only there may the runtime folder be missing")
def test_no_runtime_folder(home: Path) -> None:
    """Without a runtime folder of the user's own, a folder of the state is used, which no other can write."""
    assert find().runtime == home / ".local/state/sockslocal/run"


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("base", ["/proc/no-such-folder", "relative"])
def test_a_runtime_folder_that_is_none(home: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    """The same, without a word of a library's, where the variable names none: after `su`, for one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", base)
    assert find().runtime == home / ".local/state/sockslocal/run"


def test_nothing_is_made(home: Path) -> None:
    """To know the places makes none of them."""
    find()
    assert [*home.iterdir()] == []
