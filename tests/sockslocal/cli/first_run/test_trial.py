import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from fakes.control import fake_daemon, status
from sockslocal.cli import background
from sockslocal.cli.first_run import trial
from sockslocal.cli.first_run.trial import Trial
from sockslocal.config.edit import Wish
from sockslocal.errors import ServerError, SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import Problem, problem
from sockslocal.secret import Secret
from sockslocal.status import Forward, ForwardState

OFFICE = Wish(("server", "office"), {"address": "proxy:1080", "username": "ana", "password_from": "prompt"})
RESOLVER = Wish(("dns",), {"listen": "127.0.0.1:5399", "upstreams": ["tcp://9.9.9.9"]})
REFUSED = problem("target-refused", address="proxy:1080", target="web:80", phrase="refused")


class World:
    """A daemon that the trial starts: what it says, and what it was given."""

    def __init__(self) -> None:
        self.report: Exception | dict[str, Any] = {"server": "office"}
        self.answer: dict[str, Any] = {"rcode": "NOERROR", "error": None}
        self.forward: tuple[str, Problem | None] = ("listening", None)
        self.secrets: dict[str, Secret] = {}
        self.texts: list[str] = []
        self.folders: list[Path] = []

    @contextmanager
    def leashed(self, paths: Paths, secrets: dict[str, Secret]) -> Iterator[None]:
        """In place of `background.leashed`."""
        self.secrets = secrets
        self.folders.append(paths.config.parent)

        async def test(_parameters: dict[str, Any]) -> object:
            if isinstance(self.report, Exception):
                raise self.report
            return self.report

        async def reload(_parameters: dict[str, Any]) -> object:
            self.texts.append(paths.config.read_text())
            return {"changed": []}

        async def query(_parameters: dict[str, Any]) -> object:
            return self.answer

        handlers = {"server.test": test, "reload": reload, "dns.query": query}
        state, trouble = self.forward
        with fake_daemon(paths, handlers, first=status(forwards={"web": _forward(state, trouble)})):
            yield


def _forward(state: str, trouble: Problem | None) -> Forward:
    known: ForwardState = "listening" if state == "listening" else "error"
    return Forward("tcp", "127.0.0.1:1", "web:80", "office", known, trouble)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """What tries, without a daemon."""
    made = World()
    monkeypatch.setattr(background, "leashed", made.leashed)
    return made


@contextmanager
def listening(greeting: bytes = b"") -> Iterator[int]:
    """The port of who greets whom it accepts, or ends once the other side does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)
                connection.recv(1)

        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def web(port: int, kind: str = "tcp") -> Wish:
    """A forward on `port`."""
    return Wish((kind, "web"), {"listen": f"127.0.0.1:{port}", "to": "web:80"})


def test_a_server_is_tried_with_what_was_typed(world: World) -> None:
    """Nothing of it stays, and the next one is tried afresh."""
    with Trial() as trying:
        assert trying.server(OFFICE, Secret("hunter2")) == {"server": "office"}
        assert world.secrets == {"office": Secret("hunter2")}
        assert trying.server(OFFICE, None) == {"server": "office"}
        assert world.secrets == {}
        assert len({*world.folders}) == 2
        assert "hunter2" not in (world.folders[1] / "config.toml").read_text()
    assert not any(folder.exists() for folder in world.folders)
    assert world.folders[0].parent == Path(tempfile.gettempdir())


def test_what_is_wrong_with_the_server(world: World) -> None:
    """Is what the daemon says."""
    world.report = ServerError.of(
        "server-unreachable", address="proxy:1080", server="office", reason="connection refused"
    )
    with Trial() as trying, pytest.raises(SockslocalError, match="connection refused"):
        trying.server(OFFICE, None)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0\r\n"])
def test_a_target_that_answers(world: World, greeting: bytes) -> None:
    """By saying something, or by ending too; the forward is then gone, as it may be called otherwise next."""
    with Trial() as trying, listening(greeting) as port:
        trying.server(OFFICE, None)
        assert trying.forward(web(port), port) == "answers"
        assert ["[tcp.web]" in text for text in world.texts] == [True, False]


def test_a_target_that_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(trial, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute, Trial() as trying:
        port = mute.getsockname()[1]
        trying.server(OFFICE, None)
        assert trying.forward(web(port), port) == "silent"


def test_a_udp_target_is_not_asked(world: World) -> None:
    """Nobody knows what it would answer."""
    with Trial() as trying:
        trying.server(OFFICE, None)
        assert trying.forward(web(5353, "udp"), 5353) == "silent"


def test_a_forward_that_does_not_work(world: World) -> None:
    """Its problem is told, and it is gone all the same."""
    world.forward = ("error", REFUSED)
    with Trial() as trying:
        trying.server(OFFICE, None)
        with pytest.raises(SockslocalError, match="could not connect"):
            trying.forward(web(5353), 5353)
    assert ["[tcp.web]" in text for text in world.texts] == [True, False]


@pytest.mark.parametrize(
    ("rcode", "error", "fault"),
    [
        ("NOERROR", None, ""),
        ("NXDOMAIN", None, ""),
        ("SERVFAIL", "it is silent", "it is silent"),
        ("REFUSED", None, "the answer is REFUSED"),
    ],
)
def test_a_resolver(world: World, rcode: str, error: str | None, fault: str) -> None:
    """Any answer of the upstream will do, but none of failure."""
    world.answer = {"rcode": rcode, "error": error}
    with Trial() as trying:
        trying.server(OFFICE, None)
        assert trying.resolver(RESOLVER) == fault
        assert "[dns]" in world.texts[-1]
