import json
from pathlib import Path
from typing import Any

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status, using
from sockslocal.cli.screen import NO_FORWARD
from sockslocal.control.server import Handler
from sockslocal.errors import ConfigError
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.status import Forward

OFFICE = """\
[server.office]
address = "proxy.example.net:1080"

[server.home]
address = "192.0.2.7:1080"
"""
DB = """
# the one that matters
[tcp.db]
listen = "127.0.0.1:5432"
to = "db.internal:5432"
"""
LISTENING = Forward("tcp", "127.0.0.1:5432", "db.internal:5432", "office", "listening")


def answering(value: object) -> Handler:
    """A handler that answers `value`."""

    async def handle(_parameters: dict[str, Any]) -> object:
        return value

    return handle


@pytest.fixture
def config(paths: Paths) -> Path:
    """A file with two servers and a forward."""
    paths.config.write_text(OFFICE + DB)
    return paths.config


def test_adding_writes_the_file(cli: CommandLine, config: Path) -> None:
    """What was there stays; without a daemon the next command is told."""
    done = cli("forward", "add", "tcp", "web", "127.0.0.1:8080", "web.internal:80")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"forward web added to {config}\nit takes effect with: sockslocal start\n"
    text = config.read_text()
    assert text.startswith(OFFICE + DB)
    assert '[tcp.web]\nlisten = "127.0.0.1:8080"\nto = "web.internal:80"\n' in text


def test_every_option_becomes_its_key(cli: CommandLine, config: Path) -> None:
    """One server is a name, several are a list; what is not given is not written."""
    add = ("forward", "add")
    game = (*add, "udp", "game", "0.0.0.0:27015", "203.0.113.9:27015")
    assert cli(*game, "--idle", "2m", "--share", "never", "--allow-lan").code == 0
    assert cli(*add, "tcp", "web", "[::1]:8080", "web:80", "--only-me", "--server", "home").code == 0
    assert cli(*add, "tcp", "two", "[::1]:8081", "web:80", "--server", "home", "--server", "office").code == 0
    text = config.read_text()
    assert 'idle = "2m"\nshare = "never"\nallow_lan = true\n' in text
    assert 'server = "home"\nonly_me = true\n' in text
    assert 'server = ["home", "office"]\n' in text


def test_setting_changes_only_what_is_given(cli: CommandLine, config: Path) -> None:
    """The comment stays; an option with `no` takes its key away."""
    assert cli("forward", "set", "db", "--listen", "127.0.0.1:15432", "--only-me").code == 0
    assert config.read_text() == (
        OFFICE + DB.replace("127.0.0.1:5432", "127.0.0.1:15432") + "only_me = true\n"
    )
    assert cli("forward", "set", "db", "--no-only-me", "--listen", "127.0.0.1:5432").code == 0
    assert config.read_text() == OFFICE + DB


def test_setting_nothing_is_a_mistake(cli: CommandLine, config: Path) -> None:
    """It would look as if something had been done."""
    done = cli("forward", "set", "db")
    assert done.code == 2
    assert done.err == "error: nothing to change was said\n  help: sockslocal forward set --help\n"
    assert config.read_text() == OFFICE + DB


def test_removing(cli: CommandLine, config: Path) -> None:
    """The rest of the file stays."""
    assert cli("forward", "remove", "db").code == 0
    assert "db" not in config.read_text()
    assert config.read_text().startswith(OFFICE)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("add", "tcp", "db", "127.0.0.1:1", "a:1"), 4, "there is a [tcp.db] already"),
        (("add", "tcp", "x", "127.0.0.1:5432", "a:1"), 4, 'forward "db" (line 9) listens there'),
        (("add", "tcp", "x", "0.0.0.0:1", "a:1"), 4, "allow_lan"),
        (("add", "tcp", "x", "127.0.0.1:70000", "a:1"), 4, "65535"),
        (("add", "tcp", "x", "127.0.0.1:1", "a:1", "--server", "nowhere"), 4, "nowhere"),
        (("add", "sctp", "x", "127.0.0.1:1", "a:1"), 2, 'there is no kind "sctp"; known are tcp, udp'),
        (("remove", "nope"), 2, 'there is no forward "nope"'),
        (("set", "db", "--idle", "5s"), 2, '--idle is for UDP forwards; "db" is a TCP forward'),
        (("add", "tcp", "x", "127.0.0.1:1", "a:1", "--idle", "5s"), 2, "--idle is for UDP forwards"),
        (("add", "udp", "x", "127.0.0.1:1", "a:1", "--only-me"), 2, "--only-me is for TCP forwards"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    cli: CommandLine, config: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """The file stays as it was, and a running daemon is not asked."""
    done = cli("forward", *arguments)
    assert done.code == code
    assert text in done.err
    assert config.read_text() == OFFICE + DB


def test_what_is_wrong_elsewhere_is_told(cli: CommandLine, config: Path) -> None:
    """The edit is made; it cannot take effect yet, so the exit code is that of the configuration."""
    config.write_text(OFFICE + DB + "".join(f"[tcp.bad{number}]\n" for number in range(2)))
    done = cli("forward", "set", "db", "--listen", "127.0.0.1:15432")
    assert done.code == 4
    assert done.err.splitlines() == [
        f"forward db changed in {config}",
        "it does not take effect until this is mended too:",
        'error: forward "bad0" has no "listen"',
        f"  --> {config}:11",
        "  help: sockslocal forward set bad0 --listen 127.0.0.1:PORT",
        'error: forward "bad0" has no "to"',
        f"  --> {config}:11",
        "  help: sockslocal forward set bad0 --to HOST:PORT",
        'error: forward "bad1" has no "listen"',
        f"  --> {config}:12",
        "  help: sockslocal forward set bad1 --listen 127.0.0.1:PORT",
        "and 1 more: sockslocal config check",
    ]
    assert "127.0.0.1:15432" in config.read_text()
    assert cli("forward", "remove", "bad0").code == 4
    assert cli("forward", "remove", "bad1").code == 0


def test_a_running_daemon_takes_it_at_once(cli: CommandLine, config: Path, paths: Paths) -> None:
    """It reads the file again, and its word is told."""
    first = status(forwards={"db": LISTENING})
    with fake_daemon(paths, {"reload": answering({"changed": ["db"]})}, first=first) as daemon:
        done = cli("forward", "set", "db", "--to", "db2.internal:5432")
        assert ("reload", {}) in daemon.calls
    assert done.code == 0
    assert done.err.endswith("db: 127.0.0.1:5432 → db.internal:5432, listening\n")


def test_a_forward_that_cannot_listen_is_an_error(cli: CommandLine, config: Path, paths: Paths) -> None:
    """The file is changed, and the exit code says that it does not work."""
    wrong = problem(
        "listen-denied", kind="forward", name="db", listen="127.0.0.1:80", remedy="sockslocal forward set db"
    )
    broken = Forward("tcp", "127.0.0.1:80", "a:1", "office", "error", problem=wrong)
    with fake_daemon(paths, {"reload": answering({})}, first=status(forwards={"db": broken})):
        done = cli("forward", "set", "db", "--listen", "127.0.0.1:80")
    assert done.code == 7
    assert f"error: {wrong.text}\n" in done.err


def test_a_daemon_that_refuses_the_file_is_an_error(cli: CommandLine, config: Path, paths: Paths) -> None:
    """Its exit code is that of the configuration."""

    async def refuse(_parameters: dict[str, Any]) -> object:
        raise ConfigError(problem("config-invalid", text="line 3 is wrong", remedy="edit it"))

    with fake_daemon(paths, {"reload": refuse}):
        assert cli("forward", "remove", "db").code == 4


def test_the_list_has_states_where_a_daemon_runs(cli: CommandLine, config: Path, paths: Paths) -> None:
    """Without one a dash stands there."""
    assert cli("forward", "list").out == (
        "NAME  KIND  LISTEN          TO                SERVER  STATE\n"
        "db    tcp   127.0.0.1:5432  db.internal:5432  office  -\n"
    )
    with fake_daemon(paths, first=status(forwards={"db": LISTENING})):
        assert cli("forward", "list").out.endswith("office  listening\n")


def test_a_daemon_with_another_file_is_no_part_of_it(
    cli: CommandLine, config: Path, paths: Paths, tmp_path: Path
) -> None:
    """An edit says how it takes effect, and the list shows no states of what only has the same names."""
    other = status(daemon=using(tmp_path / "other.toml"), forwards={"db": LISTENING})
    with fake_daemon(paths, first=other):
        assert cli("forward", "set", "db", "--only-me").err.splitlines()[1:] == [
            f"process 4711 uses another configuration: {tmp_path / 'other.toml'}",
            "it takes effect with: sockslocal restart",
        ]
        assert cli("forward", "list").out.splitlines()[1].endswith("office  -")


def test_the_list_shows_ranges_and_paths(cli: CommandLine, config: Path) -> None:
    """A range by its ends, each of several, a socket by its path, both kinds, and several servers."""
    config.write_text(
        OFFICE
        + '[tcp.many]\nlisten = "127.0.0.1:6000-6002"\nto = "a:7000-7002"\nserver = ["office", "home"]\n'
        + '[tcp.unix]\nlisten = "unix:/tmp/x.sock"\nto = "a:1"\n'
        + '[udp.game]\nlisten = ["127.0.0.1:9", "[::1]:9"]\nto = "192.0.2.1:9"\n'
    )
    _, many, unix, game = cli("forward", "list").out.splitlines()
    assert many.split()[:4] == ["many", "tcp", "127.0.0.1:6000-6002", "a:7000-7002"]
    assert "office, home" in many
    assert unix.split()[:3] == ["unix", "tcp", "unix:/tmp/x.sock"]
    assert game.split()[:5] == ["game", "udp", "127.0.0.1:9,", "[::1]:9", "192.0.2.1:9"]


def test_the_list_for_programs(cli: CommandLine, config: Path) -> None:
    """Every address on its own."""
    assert json.loads(cli("forward", "list", "--json").out) == [
        {
            "name": "db",
            "kind": "tcp",
            "listen": ["127.0.0.1:5432"],
            "to": ["db.internal:5432"],
            "servers": ["office"],
            "enabled": True,
            "state": None,
        }
    ]


def test_an_empty_list_says_what_to_do(cli: CommandLine, config: Path) -> None:
    """There is no data for stdout."""
    config.write_text(OFFICE)
    assert cli("forward", "list") == (0, "", f"there is no forward yet: {NO_FORWARD}\n")
    assert cli("forward", "list", "--json").out == "[]\n"
