import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fakes.dialling import (
    CONNECT,
    CREDENTIALS,
    GRANTED,
    GREETING,
    LOGIN,
    LOGIN_GREETING,
    begin,
    dialled,
    failure,
)
from fakes.engine import POLLERS, turns, until, way_to
from fakes.picky_server import picky_server
from fakes.probe_target import probe_target
from fakes.raw_server import raw_server, until_end
from fakes.sockets import reset
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.net import dialer
from sockslocal.net.engine import Engine
from sockslocal.net.login import Answer
from sockslocal.net.way import Way
from sockslocal.secret import Secret
from sockslocal.socks5 import messages as codec
from sockslocal.socks5.client import Credentials, Pipelining
from sockslocal.socks5.messages import Command, Request

pytestmark = pytest.mark.usefixtures("look_often")

PIPELINED = [Pipelining.SEMI, Pipelining.FULL]


def hasty_way(address: tuple[str, int], pipelining: Pipelining, answer: Answer = CREDENTIALS) -> Way:
    """A way to a server that was known to bear so much."""
    way = way_to(address, answer)
    way.pipelining = pipelining
    return way


def doubts(way: Way) -> list[None]:
    """Grows with each time that the server's pipelining is doubted, which ends it."""
    found: list[None] = []

    def doubt() -> None:
        way.pipelining = Pipelining.NONE
        found.append(None)

    way.doubted = doubt
    return found


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize(
    ("pipelining", "segments"),
    [
        (Pipelining.SEMI, [LOGIN_GREETING, LOGIN + CONNECT]),
        (Pipelining.FULL, [LOGIN_GREETING + LOGIN + CONNECT]),
    ],
)
async def test_what_the_server_bears_leaves_together(
    engine: Engine, strict: FakeServer, pipelining: Pipelining, segments: list[bytes]
) -> None:
    """The dial is as good as any other."""
    way = hasty_way(strict.address, pipelining)
    doubted = doubts(way)
    outcome = await dialled(engine, way)
    assert strict.sessions[0].segments == segments
    assert outcome.dial.bound
    assert outcome.dial.logged_in >= outcome.dial.started > 0
    assert not doubted


@pytest.mark.parametrize("pipelining", PIPELINED)
async def test_a_server_that_does_not_bear_it_after_all(engine: Engine, pipelining: Pipelining) -> None:
    """Another one may have taken its place: the dial starts over, and nobody who dialled hears of it."""
    with probe_target() as target, picky_server() as address:
        way = hasty_way(address, pipelining)
        doubted = doubts(way)
        outcome = await dialled(engine, way, request=Request(Command.CONNECT, target))
    assert outcome.dial
    assert len(doubted) == 1
    assert engine.budget.promised == 0


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("play", ["silent", "closes", "resets", "fails", "garbage"])
async def test_a_request_that_is_lost_in_the_handshake(engine: Engine, play: str) -> None:
    """The server reads one message a time, and then waits, or ends it: the dial starts over and succeeds."""

    def serve(sock: socket.socket) -> None:
        if sock.recv(4096) == GREETING:  # nothing behind it
            sock.sendall(b"\5\0")
            sock.recv(4096)
            sock.sendall(GRANTED)
            until_end(sock)
        elif play == "resets":
            reset(sock)
        elif play == "garbage":
            sock.sendall(b"\1\1")
            until_end(sock)
        elif play != "silent":
            sock.sendall(b"\5\0" + (b"\5\1\0\1" + bytes(6) if play == "fails" else b""))
        else:
            until_end(sock)

    with raw_server(serve) as address:
        way = hasty_way(address, Pipelining.FULL, None)
        doubted = doubts(way)
        with patient(dialer, 0.05 if play == "silent" else 10.0):
            outcome = await dialled(engine, way)
        assert outcome.dial
        assert len(doubted) == 1
        assert outcome.dial.logged_in - outcome.dial.started < 1, "what was in vain is not counted"
        assert not (await dialled(engine, way)).errors


@contextmanager
def patient(module: Any, seconds: float) -> Iterator[None]:
    """Each stage may take so long."""
    usual, module.STAGE_S = module.STAGE_S, dict.fromkeys(module.STAGE_S, seconds)
    try:
        yield
    finally:
        module.STAGE_S = usual


async def test_starting_over_has_deadlines_too(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays silent is the server's failure."""
    monkeypatch.setattr(dialer, "STAGE_S", dict.fromkeys(dialer.STAGE_S, 0.05))
    strict.script = Script(at=Stage.METHOD, act=Act.STALL)
    error = await failure(engine, hasty_way(strict.address, Pipelining.FULL))
    assert error.problem.code == "server-timeout"
    assert not error.server_answers
    assert len(strict.sessions) == 2


async def test_a_reply_that_does_not_come(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target may be to blame: the dial fails, and what comes next is not pipelined."""
    monkeypatch.setattr(dialer, "STAGE_S", {**dialer.STAGE_S, codec.Stage.REPLY: 0.05})
    strict.script = Script(at=Stage.REPLY, act=Act.STALL)
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    error = await failure(engine, way)
    assert error.problem.code == "server-timeout"
    assert error.server_answers
    assert len(doubted) == 1


async def test_a_silent_target_among_others_that_are_not(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was granted meanwhile shows that the server bears it."""
    monkeypatch.setattr(dialer, "STAGE_S", {**dialer.STAGE_S, codec.Stage.REPLY: 0.5})
    strict.script = Script(at=Stage.REPLY, act=Act.STALL)
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    _, silent = begin(engine, way)
    await until(lambda: strict.sessions, "it has arrived")
    strict.script = Script()
    assert (await dialled(engine, way)).dial
    await until(lambda: silent.over, "nobody waits for ever")
    assert silent.error.problem.code == "server-timeout"
    assert not doubted


@pytest.mark.parametrize("pipelining", PIPELINED)
async def test_a_login_is_rejected_only_when_it_was_sent_by_itself(
    engine: Engine, strict: FakeServer, pipelining: Pipelining
) -> None:
    """A server that was confused by the request may say the same."""
    wrong = Credentials("ana", Secret("wrong"))
    way = hasty_way(strict.address, pipelining, wrong)
    doubted = doubts(way)
    error = await failure(engine, way)
    assert error.rejected is wrong
    assert not doubted, "it comes to the same"
    assert strict.sessions[1].segments == [LOGIN_GREETING, b"\1\3ana\5wrong"]


@pytest.mark.parametrize(
    ("script", "attempts"),
    [(Script(reply=5), 1), (Script(reply=1), 2), (Script(at=Stage.REPLY, act=Act.CLOSE), 2)],
    ids=["refused", "failed", "closed"],
)
async def test_a_refused_request_says_nothing_against_pipelining(
    engine: Engine, strict: FakeServer, script: Script, attempts: int
) -> None:
    """Where the server may have meant something else, it is asked again, and says the same."""
    strict.script = script
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    assert (await failure(engine, way)).server_answers
    assert not doubted
    assert len(strict.sessions) == attempts


async def test_cancelling_what_has_started_over(engine: Engine) -> None:
    """It ends as at the first time, wherever it is."""

    def play(sock: socket.socket) -> None:
        if len(sock.recv(4096)) > len(LOGIN_GREETING):
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n")
        until_end(sock)

    with raw_server(play) as address:
        dial, outcome = begin(engine, hasty_way(address, Pipelining.FULL))
        await until(lambda: dial._first, "it starts over")
        dial.cancel()
        await turns()
    assert not outcome.over
    assert engine.budget.promised == 0
