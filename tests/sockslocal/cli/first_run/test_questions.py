import io
import sys

import pytest

from fakes.person import Script
from sockslocal.cli.first_run.questions import WrongAnswer, ask, choose, confirm, good, use_line_editing


def _number(text: str) -> int:
    if not text.isdigit():
        raise WrongAnswer(f"{text!r} is no number")
    return int(text)


def test_asked_until_it_will_do(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """Each wrong answer gets its sentence."""
    answers("x", "", " 7 ")
    assert ask("How many", _number) == 7
    assert capsys.readouterr().err == "  ✗ 'x' is no number\n  ✗ '' is no number\n"
    assert answers.asked == ["  How many: "] * 3


def test_enter_takes_the_proposal(answers: Script) -> None:
    """Which stands in brackets."""
    answers("")
    assert ask("How many", _number, "3") == 3
    assert answers.asked == ["  How many [3]: "]


@pytest.mark.parametrize(
    ("text", "chosen"), [("", "keep"), ("c", "change"), ("QU", "quit"), ("keep", "keep")]
)
def test_the_first_letters_will_do(answers: Script, text: str, chosen: str) -> None:
    """Of one of several, in either case."""
    answers(text)
    assert choose("What now", ("change", "keep", "quit"), "keep") == chosen


def test_something_else_will_not(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told what would."""
    answers("maybe", "n")
    assert not confirm("Save it", proposal=True)
    assert "answer with yes or no" in capsys.readouterr().err


@pytest.mark.parametrize("end", [EOFError(), KeyboardInterrupt()])
def test_the_end_of_the_input_is_ctrl_c(monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
    """Nobody is asked for ever."""

    def closed(_question: str) -> str:
        raise end

    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(KeyboardInterrupt):
        ask("How many", _number)


def test_what_is_no_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of another encoding; it is asked again."""
    answers: list[str | Exception] = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "5"]

    def typed(_question: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("builtins.input", typed)
    assert ask("How many", _number) == 5
    assert "is not text" in capsys.readouterr().err


def test_marks_are_such_as_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """ASCII where there is no more."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    good("it works")
    stream.flush()
    assert stream.buffer.getvalue() == b"  + it works\n"


def test_line_editing_is_had_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it questions can be asked as well."""
    use_line_editing()
    monkeypatch.setitem(sys.modules, "readline", None)
    use_line_editing()
