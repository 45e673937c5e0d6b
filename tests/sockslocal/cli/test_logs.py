import signal

import pytest

from fakes.cli import CommandLine, next_line, started
from sockslocal.paths import Paths

FOLLOW = ("logs", "-f", "-n", "1")


def write(paths: Paths, text: str) -> None:
    """Add to the log."""
    paths.state.mkdir(exist_ok=True)
    with paths.log.open("a") as file:
        file.write(text)


def lines(first: int, last: int) -> str:
    """Numbered lines, both ends included."""
    return "".join(f"line {number}\n" for number in range(first, last + 1))


@pytest.mark.parametrize(
    ("arguments", "first"), [((), 901), (("-n", "3"), 998), (("-n", "0"), 1001), (("-n", "9999"), 1)]
)
def test_the_last_lines_are_printed(
    cli: CommandLine, paths: Paths, arguments: tuple[str, ...], first: int
) -> None:
    """100 of them unless told otherwise."""
    write(paths, lines(1, 1000))
    assert cli("logs", *arguments) == (0, lines(first, 1000), "")


def test_a_log_of_many_blocks_is_printed_whole(cli: CommandLine, paths: Paths) -> None:
    """Lines that lie across two reads are not cut."""
    write(paths, lines(1, 50_000))
    assert cli("logs", "-n", "49000").out == lines(1001, 50_000)


def test_without_a_log_it_is_said_why(cli: CommandLine, paths: Paths) -> None:
    """No error: nothing has happened yet."""
    done = cli("logs")
    assert (done.code, done.out) == (0, "")
    assert str(paths.log) in done.err


def test_what_stands_in_the_log_cannot_paint_the_terminal(cli: CommandLine, paths: Paths) -> None:
    """Whatever got into it, by whomever."""
    paths.state.mkdir()
    paths.log.write_bytes(b"\x1b[2J \xff\n")
    assert cli("logs").out == "\\x1b[2J \ufffd\n"


def test_following_goes_on_across_rotation(paths: Paths) -> None:
    """What is written before, while and after the file is replaced comes once each, in order."""
    write(paths, lines(1, 10))
    with started(*FOLLOW) as process:
        assert next_line(process) == "line 10\n"
        write(paths, lines(11, 11) + "line")
        assert next_line(process) == "line 11\n"
        write(paths, " 12\n")
        paths.log.rename(f"{paths.log}.1")
        write(paths, lines(13, 13))
        assert next_line(process) == "line 12\n"
        assert next_line(process) == "line 13\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_following_waits_for_a_log(paths: Paths) -> None:
    """It may be started before the daemon is."""
    with started(*FOLLOW) as process:
        write(paths, lines(1, 1))
        assert next_line(process) == "line 1\n"
