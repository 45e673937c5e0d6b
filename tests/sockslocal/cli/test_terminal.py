import io
import json

import pytest

from sockslocal.cli import terminal
from sockslocal.cli.terminal import Span, line


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_person_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each styled span is painted, and the paint ends with it."""
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    terminal.write(screen, [(Span("up", "good"), Span(" plain"))])
    assert screen.getvalue() == "\x1b[32mup\x1b[0m plain\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """By NO_COLOR, or a terminal that has none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    screen = Screen()
    terminal.write(screen, [line("up", "good")])
    assert screen.getvalue() == "up\n"


def test_an_empty_no_color_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://no-color.org has it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    assert terminal.has_colour(Screen())


def test_a_file_gets_none() -> None:
    """Nor does a pipe."""
    file = io.StringIO()
    terminal.write(file, [line("up", "good"), ()])
    assert file.getvalue() == "up\n\n"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\rb", "\u202e", "\x9b31m", "\x07"])
def test_control_characters_are_shown_not_sent(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A name from outside neither moves the cursor nor turns the writing round; even in colour."""
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    terminal.write(screen, [line(text, "bad")])
    inside = screen.getvalue().removeprefix("\x1b[31m").removesuffix("\x1b[0m\n")
    assert inside.isprintable()
    assert "\\" in inside


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a name holds, no terminal acts on it, and every parser reads it back."""
    value = {"name": "b\xfcro \x1b[2J \u202e \x9b"}
    terminal.print_json(value)
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert "\x1b" not in shown
    assert json.loads(shown) == value


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("cp1252", False)]
)
def test_marks_depend_on_the_encoding(encoding: str, *, expected: bool) -> None:
    """Where Unicode cannot be written, it is not tried."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert terminal.has_unicode(stream) is expected
