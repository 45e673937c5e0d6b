import pytest

from fakes.cli import CommandLine
from sockslocal.paths import Paths

CONFIG = """\
[server.office]
[server.home]
[tcp.db]
listen = 5
[udp.game]
[tcp."$(reboot)"]
[dns]
"""


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("forwards", ["db", "game"]),
        ("switches", ["db", "game", "dns"]),
        ("servers", ["office", "home"]),
    ],
)
def test_names_are_told_one_a_line(cli: CommandLine, paths: Paths, kind: str, names: list[str]) -> None:
    """Also those of a file that is not valid yet; what is no name could mean something to the shell."""
    paths.config.write_text(CONFIG)
    done = cli("_names", kind)
    assert (done.code, done.out.split(), done.err) == (0, names, "")


@pytest.mark.parametrize("text", ["[server", "server = 5", "tcp = [1]", "\0", "a = [" * 100_000])
def test_a_file_that_cannot_be_read_has_none(cli: CommandLine, paths: Paths, text: str) -> None:
    """A word is being completed: nobody wants to read an error then."""
    paths.config.write_text(text)
    assert cli("_names", "switches") == (0, "", "")
    assert cli("_names", "servers") == (0, "", "")


def test_a_file_that_is_not_there_has_none(cli: CommandLine, paths: Paths) -> None:
    """Nor one in another encoding."""
    assert cli("_names", "forwards") == (0, "", "")
    paths.config.write_bytes(b"\xff")
    assert cli("_names", "forwards") == (0, "", "")


def test_it_is_no_command_of_a_persons(cli: CommandLine) -> None:
    """Neither the help nor the list of what could have been meant has it."""
    assert "_names" not in cli().out
    assert "_names" not in cli("_name").err
