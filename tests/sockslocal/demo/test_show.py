"""What the demo prints."""

import io
from collections import Counter
from pathlib import Path

import pytest

from sockslocal.address import Endpoint
from sockslocal.demo.setting import Setting
from sockslocal.demo.show import Screen
from sockslocal.demo.traffic import steps
from sockslocal.socks5.messages import Command

SERVER = Endpoint("127.0.0.1", 65_535)


class Terminal(io.TextIOWrapper):
    """A terminal of a given encoding."""

    def __init__(self, encoding: str = "utf-8", *, is_terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        """All that was printed."""
        self.seek(0)
        return self.read()


def show_everything(terminal: Terminal) -> str:
    """Every kind of line, with the longest ports and process ids."""
    port = Endpoint("127.0.0.1", 65_535)
    setting = Setting(Path("/tmp/sockslocal-demo-12345678"), port, port, port, port, port)
    screen = Screen(terminal)
    screen.opening(SERVER, 4_194_304)
    screen.login(SERVER, "rejected", 0.000_4)
    for step in steps(setting):
        screen.step(step, "2,779 B of TXT", 0.123_4)
        screen.failed_step(step, "no answer within 5 s")
    screen.proof(Counter({Command.CONNECT: 12, Command.UDP_ASSOCIATE: 1}))
    screen.commands(setting)
    return terminal.text()


def test_it_fits_into_eighty_columns() -> None:
    """No line is wrapped by a terminal of the usual width."""
    lines = show_everything(Terminal()).splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_no_line_ends_in_blanks() -> None:
    """Copied text is clean."""
    assert [line for line in show_everything(Terminal()).splitlines() if line != line.rstrip()] == []


def test_what_was_sent_and_how_long_it_took_is_said() -> None:
    """A step is one line."""
    lines = show_everything(Terminal()).splitlines()
    path = "127.0.0.1:65535 → ana@proxy → db.demo.test:7"
    assert f"✓ TCP     {path:<46} 2,779 B of TXT 123.4 ms" in lines
    assert "The server has seen 12 connections and 1 UDP association of ana's." in lines


def test_a_failure_is_followed_by_its_reason() -> None:
    """The reason is below the path that it is about."""
    lines = show_everything(Terminal()).splitlines()
    at = lines.index("✗ UDP     127.0.0.1:65535 → ana@proxy → db.demo.test:7")
    assert lines[at + 1].strip() == "no answer within 5 s"


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good is green and bad is red, unless NO_COLOR asks for none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = show_everything(Terminal(is_terminal=True))
    assert "\x1b[32m✓\x1b[0m" in text
    assert "\x1b[31m✗\x1b[0m" in text
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in show_everything(Terminal(is_terminal=True))


def test_a_file_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escapes are for terminals."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in show_everything(Terminal())


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252"])
def test_an_encoding_without_arrows_gets_none(encoding: str) -> None:
    """Nothing is lost but beauty."""
    text = show_everything(Terminal(encoding))
    assert text.isascii()
    assert "+ TCP     127.0.0.1:65535 > ana@proxy > db.demo.test:7" in text


def test_only_installed_programs_are_suggested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What cannot be tried is not offered."""
    monkeypatch.setenv("PATH", str(tmp_path))
    text = show_everything(Terminal())
    assert "curl http" not in text
    assert "sockslocal status" in text
