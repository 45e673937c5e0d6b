import json
import zipfile
from pathlib import Path

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status, using
from sockslocal.cli.doctor import _ASCII, lines_of
from sockslocal.cli.terminal import text_of
from sockslocal.doctor import tray_host
from sockslocal.doctor.report import Check, Section
from sockslocal.paths import Paths

BOTH = Section(
    "ports",
    "Ports",
    (
        Check("ports.db", "db", "good", "127.0.0.1:5432 is listened on"),
        Check("ports.web", "web", "bad", "word " * 20, "sockslocal forward set web --listen 127.0.0.1:18080"),
        Check("ports.ssh", "ssh", "note", "slow", "wait " * 20),
        Check("ports.dns", "dns", "unknown", "off"),
    ),
)


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray_host, "DEADLINE_S", 60.0)  # on a busy machine the child takes its time
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def shown(width: int) -> list[str]:
    """The section as text."""
    return [text_of(line, colour=False) for line in lines_of(BOTH, width)]


def test_a_section_at_a_glance() -> None:
    """The mark of the whole, of each part, and what mends it; only commands are never broken."""
    assert shown(60) == [
        "✗ Ports",
        "  ✓ db   127.0.0.1:5432 is listened on",
        "  ✗ web  word word word word word word word word word word",
        "         word word word word word word word word word word",
        "         → sockslocal forward set web --listen 127.0.0.1:18080",
        "  ! ssh  slow",
        "         → wait wait wait wait wait wait wait wait wait wait",
        "           wait wait wait wait wait wait wait wait wait wait",
        "  ○ dns  off",
    ]


def test_a_narrow_screen() -> None:
    """What is said begins below its title."""
    assert shown(36)[:3] == ["✗ Ports", "  ✓ db", "      127.0.0.1:5432 is listened on"]


def test_marks_for_terminals_without_unicode() -> None:
    """All but the arrow of a remedy."""
    section = Section("a", "A", (Check("a.1", "One", "bad", "text"), Check("a.2", "Two", "good", "text")))
    lines = [text_of(line, colour=False) for line in lines_of(section, 60, _ASCII)]
    assert lines == ["x A", "  x One  text", "  + Two  text"]


def test_a_failure(cli: CommandLine) -> None:
    """The last line counts, and says where; the exit code tells scripts."""
    done = cli("doctor")
    assert done.code == 1
    assert done.out.startswith("✗ Configuration\n  ✗ File  there is no ")
    assert "sockslocal start" in done.out
    assert done.out.splitlines()[-2:] == [
        "1 check failed, 1 thing to look at, with what to do about it above:",
        "Configuration, Daemon.",
    ]


def test_all_is_well(cli: CommandLine, paths: Paths) -> None:
    """Only notes or nothing are no failure."""
    paths.config.write_text('[server.office]\naddress = "proxy:1080"\n')
    with fake_daemon(paths, first=status(daemon=using(paths.config))):
        done = cli("doctor")
    assert done.code == 0
    assert "thing to look at" in done.out


def test_for_programs(cli: CommandLine) -> None:
    """JSON alone."""
    done = cli("doctor", "--json")
    found = json.loads(done.out)
    assert (done.code, found["verdict"]) == (1, "bad")
    assert found["sections"][0]["checks"][0]["id"] == "config.missing"


def test_a_bundle(cli: CommandLine, tmp_path: Path) -> None:
    """Beside what is shown."""
    target = tmp_path / "report.zip"
    done = cli("doctor", "--bundle", str(target))
    assert f"{target} is written" in done.err
    assert "sockslocal/doctor.json" in zipfile.ZipFile(target).namelist()
    again = cli("doctor", "--bundle", str(target))
    assert again.code == 2
    assert "help: sockslocal doctor --bundle" in again.err
