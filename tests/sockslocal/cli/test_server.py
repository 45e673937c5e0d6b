import json
from pathlib import Path
from typing import Any

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status
from sockslocal.cli.screen import NO_FORWARD, NO_SERVER
from sockslocal.config.load import load
from sockslocal.paths import Paths
from sockslocal.status import Server


async def _reload(_parameters: dict[str, Any]) -> object:
    return {"changed": ["office"]}


def test_the_first_server_makes_the_file(cli: CommandLine, paths: Paths) -> None:
    """With a login, the password is next; the file is the user's alone."""
    done = cli("server", "add", "office", "proxy.example.net:1080", "--username", "ana")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"server office added to {paths.config}\nnext: sockslocal login office\n"
    assert paths.config.read_text() == (
        '[server.office]\naddress = "proxy.example.net:1080"\nusername = "ana"\n'
    )
    assert paths.config.stat().st_mode & 0o077 == 0


def test_without_a_login_a_forward_is_next(cli: CommandLine, paths: Paths) -> None:
    """And nothing once there is one."""
    assert cli("server", "add", "a", "192.0.2.1:1080").err.endswith(f"next: {NO_FORWARD}\n")
    with paths.config.open("a") as file:
        file.write('[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:1"\n')
    assert "next:" not in cli("server", "add", "b", "[2001:db8::7]:1080").err


def test_every_option_becomes_its_key(cli: CommandLine, paths: Paths) -> None:
    """Only what was given is written."""
    options = {
        "username": "ana",
        "password-from": "command:pass show office",
        "tls-name": "socks.example.net",
        "tls-ca": "/etc/ssl/ours.pem",
        "udp": "uot",
        "udp-address": "relay.example.net",
        "udp-probe": "8.8.8.8:53",
        "connect-timeout": "3s",
    }
    arguments = [part for option, value in options.items() for part in (f"--{option}", value)]
    done = cli("server", "add", "office", "proxy:1080", "--tls", *arguments)
    assert done.code == 0
    assert "login" not in done.err
    text = paths.config.read_text()
    assert all(f'{option.replace("-", "_")} = "{value}"' in text for option, value in options.items())
    assert "\ntls = true\n" in text


def test_what_is_missing_is_in_the_command_that_mends_it(cli: CommandLine) -> None:
    """An option without a value is proposed as one."""
    done = cli("server", "add", "office", "proxy:1080", "--tls-name", "a.example")
    assert done.code == 4
    assert done.err.endswith("sockslocal server add office proxy:1080 --tls-name a.example --tls\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("office", "proxy"), "proxy"),
        (("office", "proxy:0"), "65535"),
        (("off ice", "proxy:1"), "off ice"),
        (("office", "proxy:1", "--username", "ana", "--password-from", "hunter2"), "password_from"),
    ],
)
def test_what_cannot_be_is_refused(
    cli: CommandLine, paths: Paths, arguments: tuple[str, ...], text: str
) -> None:
    """No file is made, and what may be a password is not repeated."""
    done = cli("server", "add", *arguments)
    assert done.code == 4
    assert text in done.err
    assert "hunter2" not in done.err
    assert not paths.config.exists()


def test_a_server_in_use_stays(cli: CommandLine, paths: Paths) -> None:
    """A forward would lead nowhere; once nothing needs it, it goes."""
    office = '[server.office]\naddress = "proxy:1080"\n'
    paths.config.write_text(office + '[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:1"\n')
    assert cli("server", "remove", "office").code == 4
    paths.config.write_text(office)
    assert cli("server", "remove", "office") == (0, "", f"server office removed from {paths.config}\n")
    assert cli("server", "remove", "office").code == 2


def test_what_goes_through_another_server_now_is_said(cli: CommandLine, paths: Paths) -> None:
    """Without the first server the next one is the default; what names its own server stays with that."""
    paths.config.write_text(
        '[server.office]\naddress = "proxy:1080"\n[server.home]\naddress = "192.0.2.7:1080"\n'
        '[server.spare]\naddress = "192.0.2.8:1080"\n'
        '[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:1"\n'
        '[tcp.own]\nlisten = "127.0.0.1:3"\nto = "a:1"\nserver = "home"\n'
        '[udp.game]\nlisten = "127.0.0.1:2"\nto = "a:2"\n'
        '[dns]\nlisten = "127.0.0.1:5399"\nupstreams = ["tcp://192.0.2.1"]\n'
    )
    assert "through" not in cli("server", "remove", "spare").err
    assert cli("server", "remove", "office").err == (
        f'server office removed from {paths.config}\nthrough server home now: "db", "game", "dns"\n'
    )


def test_a_faulty_forward_is_rerouted_too(cli: CommandLine, paths: Paths) -> None:
    """Where another one is wrong, and itself: once mended it goes through the next server."""
    paths.config.write_text(
        '[server.office]\naddress = "proxy:1080"\n[server.home]\naddress = "192.0.2.7:1080"\n'
        '[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:1"\n[tcp.bad]\nlisten = "127.0.0.1:3"\n'
    )
    done = cli("server", "remove", "office")
    assert done.code == 4
    assert 'through server home now: "db", "bad"\n' in done.err


def test_another_server_is_the_default(cli: CommandLine, paths: Paths) -> None:
    """What names no server goes through it, and is told; what names its own stays with that."""
    paths.config.write_text(
        '[server.office]\naddress = "proxy:1080"\n[server.home]\naddress = "192.0.2.7:1080"\n'
        '[tcp.db]\nlisten = "127.0.0.1:1"\nto = "a:1"\n'
        '[tcp.own]\nlisten = "127.0.0.1:3"\nto = "a:1"\nserver = "office"\n'
    )
    with fake_daemon(paths, {"reload": _reload}) as daemon:
        done = cli("server", "use", "home")
        assert [verb for verb, _ in daemon.calls if verb == "reload"] == ["reload"]
    assert (done.code, done.err) == (
        0,
        f'server home is the default in {paths.config}\nthrough server home now: "db"\n',
    )
    assert "through" not in cli("server", "use", "home").err
    assert cli("server", "use", "lab").code == 2
    assert load(paths.config).tcp["own"].servers == ("office",)


def test_a_running_daemon_hears_of_it(cli: CommandLine, paths: Paths) -> None:
    """At once, when added and when removed."""
    with fake_daemon(paths, {"reload": _reload}) as daemon:
        cli("server", "add", "office", "proxy:1080")
        cli("server", "remove", "office")
        assert [verb for verb, _ in daemon.calls if verb == "reload"] == ["reload", "reload"]


def test_what_is_wrong_elsewhere_is_told(cli: CommandLine, paths: Paths) -> None:
    """The server is added and removed all the same; the daemon is not asked to take the file."""
    paths.config.write_text("[server.bad]\n")
    with fake_daemon(paths) as daemon:
        for arguments in (("add", "office", "proxy:1080"), ("remove", "office")):
            done = cli("server", *arguments)
            assert done.code == 4
            assert 'error: server "bad" has no "address"\n' in done.err
        assert daemon.calls == []
    assert "office" not in paths.config.read_text()
    assert cli("server", "remove", "bad").code == 0


@pytest.fixture
def config(paths: Paths) -> Path:
    """A server with a login and one without."""
    paths.config.write_text(
        '[server.office]\naddress = "proxy:1080"\nusername = "ana"\n'
        'password_from = "command:pass --token=hunter2"\n'
        '[server.home]\naddress = "192.0.2.7:1080"\n'
    )
    return paths.config


def test_the_list_has_states_where_a_daemon_runs(cli: CommandLine, config: Path, paths: Paths) -> None:
    """Without one a dash stands there."""
    assert cli("server", "list").out == (
        "NAME    ADDRESS         USER  PASSWORD  STATE\n"
        "office  proxy:1080      ana   command   -\n"
        "home    192.0.2.7:1080  -     -         -\n"
    )
    with fake_daemon(paths, first=status(servers={"office": Server("proxy:1080", "up")})):
        assert cli("server", "list").out.splitlines()[1].endswith("command   up")


def test_the_list_for_programs(cli: CommandLine, config: Path) -> None:
    """Of a command that gives the password only that it is one: people put secrets into its arguments."""
    assert json.loads(cli("server", "list", "--json").out) == [
        {
            "name": "office",
            "address": "proxy:1080",
            "tls": False,
            "username": "ana",
            "password_from": "command",
            "state": None,
        },
        {
            "name": "home",
            "address": "192.0.2.7:1080",
            "tls": False,
            "username": None,
            "password_from": None,
            "state": None,
        },
    ]


def test_an_empty_list_says_what_to_do(cli: CommandLine, paths: Paths) -> None:
    """There is no data for stdout."""
    paths.config.write_text("")
    assert cli("server", "list") == (0, "", f"there is no server yet: {NO_SERVER}\n")
