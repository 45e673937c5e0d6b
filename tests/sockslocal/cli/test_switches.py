from typing import Any, Literal

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status
from sockslocal.control.server import Handler
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.status import Dns, Forward, Status, Tunnel

IN_USE = problem(
    "port-in-use", kind="forward", name="web", listen="127.0.0.1:80", holder="nginx (pid 7)", remedy="move it"
)


def answering(state: Status) -> Handler:
    """A handler that answers with `state`."""

    async def handle(_parameters: dict[str, Any]) -> object:
        return state

    return handle


def forward(state: Any = "listening", **rest: Any) -> Forward:
    """A forward in some state."""
    return Forward("tcp", "127.0.0.1:1", "a:1", "s", state, **rest)


@pytest.mark.parametrize("switch", ["on", "off"])
def test_without_names_it_is_the_whole_tunnel(cli: CommandLine, paths: Paths, switch: str) -> None:
    """The daemon is asked with no names, and the outcome told on stderr."""
    with fake_daemon(paths, {switch: answering(status())}) as daemon:
        assert cli(switch) == (0, "", f"the tunnel is {switch}\n")
        assert daemon.calls == [(switch, {"names": []})]


def test_names_are_forwards_or_the_resolver(cli: CommandLine, paths: Paths) -> None:
    """Each is told of with what became of it."""
    state = status(forwards={"db": forward("off")}, dns=Dns("127.0.0.1:53", "s", "off"))
    with fake_daemon(paths, {"off": answering(state)}) as daemon:
        done = cli("off", "db", "dns")
        assert daemon.calls == [("off", {"names": ["db", "dns"]})]
    assert done == (0, "", "db: 127.0.0.1:1 → a:1, off\ndns: 127.0.0.1:53, off\n")


def test_one_that_cannot_be_switched_on_is_an_error(cli: CommandLine, paths: Paths) -> None:
    """Its problem is told as an error, with the exit code that belongs to it; the others are on."""
    state = status(forwards={"db": forward(), "web": forward("error", problem=IN_USE)})
    with fake_daemon(paths, {"on": answering(state)}):
        done = cli("on", "db", "web")
    assert done.code == 1
    assert "db: 127.0.0.1:1 → a:1, listening\n" in done.err
    assert "in use by nginx" in done.err


@pytest.mark.parametrize("names", [[], ["db"]])
def test_a_switch_that_is_not_kept_is_an_error(cli: CommandLine, paths: Paths, names: list[str]) -> None:
    """It holds, but not after the daemon's end: the person has to know."""
    unkept = problem("switches-unkept", path="/state/s.json", reason="No space left", remedy="df /state")
    state = status(forwards={"db": forward("off")}, problems=(unkept,))
    with fake_daemon(paths, {"off": answering(state)}):
        done = cli("off", *names)
    assert done.code == 7
    assert "is forgotten when the daemon ends: /state/s.json cannot be written: No space left" in done.err
    assert "help: df /state" in done.err


@pytest.mark.parametrize(("switch", "now"), [("on", "listening"), ("off", "off")])
def test_old_trouble_is_no_error_of_a_switch(
    cli: CommandLine, paths: Paths, switch: str, now: Literal["listening", "off"]
) -> None:
    """The server refused a connection an hour ago: that is for `status`; the switch did what it should."""
    refused = problem("server-unreachable", address="proxy:1080", server="s", reason="connection refused")
    state = status(
        forwards={"db": forward(now, problem=refused)}, dns=Dns("127.0.0.1:53", "s", now, problem=refused)
    )
    with fake_daemon(paths, {switch: answering(state)}):
        done = cli(switch, "db", "dns")
    assert done == (0, "", f"db: 127.0.0.1:1 → a:1, {now}\ndns: 127.0.0.1:53, {now}\n")


def test_what_the_file_disables_stays_off(cli: CommandLine, paths: Paths) -> None:
    """It is not said to have been done: a line of the file has to go."""
    state = status(forwards={"db": forward("off"), "web": forward()}, dns=Dns("127.0.0.1:53", "s", "off"))
    with fake_daemon(paths, {"on": answering(state)}):
        done = cli("on", "db", "web", "dns")
    assert done.code == 4
    assert [line for line in done.err.splitlines() if line.startswith(("error: ", "  help: "))] == [
        f'error: "db" is not enabled in {paths.config}',
        "  help: remove enabled = false from [tcp.db]",
        f'error: "dns" is not enabled in {paths.config}',
        "  help: remove enabled = false from [dns]",
    ]


def test_a_forward_of_a_tunnel_that_is_off(cli: CommandLine, paths: Paths) -> None:
    """Whoever switches it on is told why nothing listens."""
    state = status(tunnel=Tunnel(on=False), forwards={"db": forward("off")})
    with fake_daemon(paths, {"on": answering(state)}):
        assert cli("on", "db").err.endswith("the tunnel is off as a whole: sockslocal on\n")


def test_without_a_daemon_nothing_is_switched(cli: CommandLine) -> None:
    """It would not be known to the next one."""
    done = cli("off")
    assert done.code == 3
    assert "help: sockslocal start" in done.err
