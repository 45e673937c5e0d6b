import asyncio
import socket
from collections.abc import Iterator

import pytest

from fakes.engine import until, way_to
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.errors import CredentialsError, ServerError
from sockslocal.net.engine import Engine
from sockslocal.net.entry import enter, find
from sockslocal.net.login import Answer, Login
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials

ANA = Credentials("ana", Secret("hunter2"))
PATIENCE_S, SHORT_S = 10.0, 0.05


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


async def test_where_one_got_in_and_with_what(fake: FakeServer, engine: Engine) -> None:
    """The connection was only for that."""
    entered = await enter(engine, way_to(fake.address, ANA), PATIENCE_S)
    assert entered == ((socket.AF_INET, fake.address), ANA)
    await until(lambda: fake.sessions[0].finished, "the connection is closed")


async def test_a_login_that_is_rejected(fake: FakeServer, engine: Engine) -> None:
    """Is the problem."""
    wrong = Credentials("ana", Secret("wrong"))
    with pytest.raises(ServerError) as caught:
        await enter(engine, way_to(fake.address, wrong), PATIENCE_S)
    assert caught.value.problem.code == "auth-failed"


async def test_a_server_that_says_nothing(fake: FakeServer, engine: Engine) -> None:
    """The time is over before that of a stage is."""
    fake.script = Script(at=Stage.METHOD, act=Act.STALL)
    with pytest.raises(ServerError) as caught:
        await enter(engine, way_to(fake.address, ANA), SHORT_S)
    assert caught.value.problem.code == "server-unreachable"
    assert "took more than 0.05 s" in caught.value.problem.text
    await until(lambda: fake.sessions[0].finished, "the connection is closed")


async def test_a_password_that_does_not_come(fake: FakeServer, engine: Engine) -> None:
    """It is what is waited for, not the server."""
    way = way_to(fake.address, ANA)
    way.login.forget()
    with pytest.raises(ServerError) as caught:
        await enter(engine, way, SHORT_S)
    assert caught.value.problem.code == "password-awaited"
    assert fake.sessions == []


async def test_a_password_that_is_gone_meanwhile(
    fake: FakeServer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to go on with."""
    way = way_to(fake.address, ANA)
    answers: list[Answer] = [ANA, CredentialsError.of("needs-unlock", server="office", reason="is locked")]
    monkeypatch.setattr(Login, "find", lambda _self, found: found(answers.pop(0)))
    with pytest.raises(ServerError) as caught:
        await enter(engine, way, PATIENCE_S)
    assert caught.value.problem.code == "needs-unlock"


async def test_who_is_cancelled_leaves_nothing(fake: FakeServer, engine: Engine) -> None:
    """Wherever it was."""
    fake.script = Script(at=Stage.METHOD, act=Act.STALL)
    task = asyncio.get_running_loop().create_task(enter(engine, way_to(fake.address, ANA), PATIENCE_S))
    await until(lambda: fake.sessions and fake.sessions[0].methods, "it is under way")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: fake.sessions[0].finished, "the connection is closed")


async def test_what_is_found_later(engine: Engine) -> None:
    """Once; who is cancelled is not told."""
    way = way_to(("127.0.0.1", 1), ANA)
    way.login.forget()
    loop = asyncio.get_running_loop()
    waiting, cancelled = loop.create_task(find(way.login)), loop.create_task(find(way.login))
    await asyncio.sleep(0)
    cancelled.cancel()
    way.login.settle(ANA)
    way.login.settle(None)
    assert await waiting is ANA
    assert len(way.login._waiting) == 0
