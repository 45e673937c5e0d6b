import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.control import status
from sockslocal.doctor import ports
from sockslocal.doctor.ports import section
from sockslocal.doctor.scene import Scene
from sockslocal.problems import problem
from sockslocal.status import Dns, Forward, Server

Make = Callable[..., Scene]
SERVER = '[server.office]\naddress = "proxy:1080"\n'
TAKEN = problem(
    "port-in-use", kind="forward", name="db", listen="l:1", holder="x", remedy="sockslocal off db"
)


def briefly(scene: Scene) -> list[tuple[str, str]]:
    """Which checks with which verdict."""
    return [(check.id, check.verdict) for check in section(scene).checks]


def tcp(listen: str, name: str = "db") -> str:
    """A forward from there."""
    return f'{SERVER}[tcp.{name}]\nlisten = "{listen}"\nto = "db.internal:5432"\n'


def test_by_the_daemons_word(scene: Make) -> None:
    """It listens, is off, or is in trouble; that of its server is not its own."""
    dead = problem("server-unreachable", address="proxy:1080", server="home", reason="refused")
    running = status(
        servers={"home": Server("proxy:1080", "down", problem=dead)},
        forwards={
            "db": Forward("tcp", "l:1", "t:1", "office", "error", problem=TAKEN),
            "ssh": Forward("tcp", "l:2", "t:1", "office", "off"),
            "web": Forward("tcp", "l:3", "t:1", "home", "listening", problem=dead),
        },
        dns=Dns("l:53", "office", "listening"),
    )
    assert briefly(scene(status=running)) == [
        ("ports.db", "bad"),
        ("ports.ssh", "unknown"),
        ("ports.web", "good"),
        ("ports.dns", "good"),
    ]
    assert briefly(scene(status=status())) == [("ports", "unknown")]


def test_without_a_daemon_each_is_tried(scene: Make, tmp_path: Path) -> None:
    """What is disabled is not; nothing stays bound."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken, busy = one.getsockname()[1], other.getsockname()[1]
        text = f"""{tcp(f"127.0.0.1:{taken}")}
[tcp.file]
listen = "unix:{tmp_path}/socket"
to = "db:1"
[tcp.nowhere]
listen = "unix:{tmp_path}/none/socket"
to = "db:1"
[tcp.unused]
listen = "127.0.0.1:1"
to = "db:1"
enabled = false
[udp.game]
listen = "127.0.0.1:{busy}"
to = "game:1"
[dns]
listen = "[::1]:{taken}"
upstreams = ["udp://9.9.9.9"]
"""
        found = section(scene(text))
    assert [(check.id, check.verdict) for check in found.checks] == [
        ("ports.db", "bad"),
        ("ports.file", "good"),
        ("ports.nowhere", "bad"),
        ("ports.game", "bad"),
        ("ports.dns", "good"),
    ]
    assert f"(pid {os.getpid()})" in found.checks[0].text
    assert found.checks[0].remedy == "sockslocal forward set db --listen ADDRESS"
    assert briefly(scene(text))[0] == ("ports.db", "good")


def test_what_a_daemon_holds_that_does_not_answer_is_no_obstacle(scene: Make) -> None:
    """It listens there all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stuck = scene(tcp(f"127.0.0.1:{listener.getsockname()[1]}"), pid=os.getpid())
        assert briefly(stuck) == [("ports.db", "good")]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EACCES, "ports below 1024 need a privilege"),
        (errno.EADDRNOTAVAIL, "cannot assign requested address"),
        (errno.EADDRINUSE, "the port is in use by another program"),
    ],
)
def test_other_obstacles(scene: Make, monkeypatch: pytest.MonkeyPatch, number: int, text: str) -> None:
    """As the daemon would tell of them."""

    def refuse(_address: object, *, stream: bool) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ports, "_bind", refuse)
    monkeypatch.setattr(ports, "find_holder", lambda _address, *, stream: None)
    resolver = f'{SERVER}[dns]\nlisten = "127.0.0.1:53"\nupstreams = ["udp://9.9.9.9"]\n'
    (check,) = section(scene(resolver)).checks
    assert (check.id, check.verdict) == ("ports.dns", "bad")
    assert text in check.text


def test_a_range_is_told_by_its_first(scene: Make) -> None:
    """Not by all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    text = tcp(f"127.0.0.1:{port}-{port + 1}").replace("5432", "5432-5433")
    (check,) = section(scene(text)).checks
    assert check.text.startswith(f"127.0.0.1:{port} and the next ones c") or check.verdict == "bad"
