import argparse

import pytest

from sockslocal.cli.parser import Branch, Parser, number, seconds
from sockslocal.errors import SockslocalError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("7", 7.0),
        ("7.5", 7.5),
        ("0", 0.0),
    ],
)
def test_durations_are_seconds(text: str, expected: float) -> None:
    """With a unit, or as a plain number of seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 s", "5w", "1e3", "nan", "inf", "٣s", "1" * 20])
def test_what_is_no_duration_is_said(text: str) -> None:
    """The error shows what would be one."""
    with pytest.raises(argparse.ArgumentTypeError, match="not a duration like 500ms"):
        seconds(text)


def tree() -> Parser:
    """Two commands and one with commands of its own."""
    parser = Parser(prog="tool")
    root = Branch(parser)
    root.command("start", "module:start", "start it", "  tool start")
    root.command("stop", "module:stop", "stop it").add_argument("--shell", choices=("bash", "zsh"))
    root.branch("forward", "forwards").command("add", "forward:add", "add one")
    return parser


@pytest.mark.parametrize(
    ("arguments", "reason", "remedy"),
    [
        (["strat"], 'there is no command "strat"; did you mean start?', "tool --help"),
        (["xyz"], 'there is no command "xyz"; known are start, stop, forward', "tool --help"),
        (["forward", "ad"], 'there is no command "ad"; did you mean add?', "tool forward --help"),
        (["stop", "--shell", "csh"], 'there is no shell "csh"; did you mean zsh?', "tool stop --help"),
        (["forward"], "the following arguments are required: COMMAND", "tool forward --help"),
        (["stop", "now"], "unrecognized arguments: now", "tool stop --help"),
        (["stop", "--sh", "zsh"], "unrecognized arguments: --sh zsh", "tool stop --help"),
        (["forward", "add", "x"], "unrecognized arguments: x", "tool forward add --help"),
    ],
)
def test_mistakes_are_told_with_what_may_have_been_meant(
    arguments: list[str], reason: str, remedy: str
) -> None:
    """They are errors like all others, with the help of the command that was meant."""
    with pytest.raises(SockslocalError) as caught:
        tree().parse_args(arguments)
    assert caught.value.problem.code == "usage"
    assert caught.value.problem.text == reason
    assert caught.value.problem.remedy == remedy


def test_commands_name_what_does_them() -> None:
    """The function is only named: nothing is imported for commands that are not run."""
    assert tree().parse_args(["forward", "add"]).command == "forward:add"


def test_help_has_a_sentence_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, and how it is typed."""
    with pytest.raises(SystemExit):
        tree().parse_args(["start", "--help"])
    shown = capsys.readouterr().out
    assert "\nStart it.\n" in shown
    assert shown.endswith("examples:\n  tool start\n")


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("100", 100)])
def test_numbers_are_counts(text: str, expected: int) -> None:
    """From nothing on."""
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣", "9" * 10])
def test_what_is_no_number_is_said(text: str) -> None:
    """In words, not in those of the language this is written in."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number like 100"):
        number(text)
