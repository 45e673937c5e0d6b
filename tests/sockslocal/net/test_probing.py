import asyncio
import socket
from collections.abc import Iterator

import pytest

from fakes.engine import until
from fakes.socks5_counts import Gauge
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint
from sockslocal.net.engine import Engine
from sockslocal.net.probing import CONNECTIONS, Access
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.errors import AuthenticationRejected, ConnectionClosed
from sockslocal.socks5.messages import Command, Request

ANA = Credentials("ana", Secret("hunter2"))
ASSOCIATE = Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0))
GREETING, LOGIN, REQUEST = b"\5\1\2", b"\1\3ana\7hunter2", b"\5\3\0\1" + bytes(6)

pytestmark = pytest.mark.usefixtures("engine")  # which sees that nothing is left


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


def access_to(fake: FakeServer, credentials: Credentials | None = ANA, patience_s: float = 10.0) -> Access:
    """The way to the fake server."""
    return Access((socket.AF_INET, fake.address), credentials, patience_s)


def test_what_is_said_in_turn(fake: FakeServer) -> None:
    """Without a login there is one message less."""
    assert access_to(fake).messages(ASSOCIATE) == [GREETING, LOGIN, REQUEST]
    assert access_to(fake, None).messages(ASSOCIATE) == [b"\5\1\0", REQUEST]


async def test_each_message_waits_for_the_answer_to_the_one_before(fake: FakeServer) -> None:
    """And leaves in one segment; the reply tells what the server has named."""
    access = access_to(fake)
    async with access.connection() as connection:
        reply = await access.ask(connection, ASSOCIATE)
        assert connection.here == "127.0.0.1"
        relay = fake.sessions[0].relay
        assert relay is not None
        assert (reply.code, reply.bound, reply.trailing) == (0, Endpoint(*relay.address), b"")
    assert fake.sessions[0].segments == [GREETING, LOGIN, REQUEST]


async def test_messages_may_be_cut(fake: FakeServer) -> None:
    """In two segments each."""
    access = access_to(fake)
    async with access.connection() as connection:
        await access.ask(connection, ASSOCIATE, in_pieces=True)
    segments = fake.sessions[0].segments
    assert b"".join(segments) == GREETING + LOGIN + REQUEST
    assert len(segments) == 6


@pytest.mark.parametrize(
    "messages", [[GREETING + LOGIN + REQUEST], [GREETING, LOGIN + REQUEST], [GREETING + LOGIN, REQUEST]]
)
async def test_messages_may_be_joined(fake: FakeServer, messages: list[bytes]) -> None:
    """What was sent already is not sent again."""
    access = access_to(fake)
    async with access.connection() as connection:
        reply = await access.ask(connection, ASSOCIATE, messages)
    assert reply.code == 0
    assert fake.sessions[0].segments == messages


async def test_a_refusal_is_a_reply(fake: FakeServer) -> None:
    """With the words for it."""
    fake.script = Script(reply=7)
    access = access_to(fake)
    async with access.connection() as connection:
        reply = await access.ask(connection, ASSOCIATE)
    assert (reply.code, reply.phrase, reply.bound) == (7, "the server does not support this command", None)


async def test_what_comes_behind_the_reply_is_kept(fake: FakeServer) -> None:
    """It is the target's."""
    fake.script = Script(at=Stage.REPLY, act=Act.SAY, text=b"\5\0\0\1\0\0\0\0\0\0hello")
    access = access_to(fake)
    async with access.connection() as connection:
        reply = await access.ask(connection, Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0)))
    assert reply.trailing == b"hello"


async def test_an_end_instead_of_a_reply_is_an_error(fake: FakeServer) -> None:
    """Which knows the stage."""
    fake.script = Script(at=Stage.REPLY, act=Act.CLOSE)
    access = access_to(fake)
    with pytest.raises(ConnectionClosed) as caught:
        async with access.connection() as connection:
            await access.ask(connection, ASSOCIATE)
    assert caught.value.phrase == "it closed the connection during the reply"


async def test_a_login_that_is_rejected_is_an_error(fake: FakeServer) -> None:
    """The connection is closed all the same."""
    access = access_to(fake, Credentials("ana", Secret("wrong")))
    with pytest.raises(AuthenticationRejected):
        async with access.connection() as connection:
            await access.ask(connection, ASSOCIATE)
    await until(lambda: fake.sessions[0].finished, "the server sees the end")


async def test_a_connection_has_its_time(fake: FakeServer) -> None:
    """Whatever it waits for; its own where it is given one."""
    fake.script = Script(at=Stage.METHOD, act=Act.STALL)
    access = access_to(fake, patience_s=0.02)
    with pytest.raises(TimeoutError):
        async with access.connection() as connection:
            await access.ask(connection, ASSOCIATE)
    access.patience_s = 10.0
    with pytest.raises(TimeoutError):
        async with access.connection(0.02) as connection:
            await access.ask(connection, ASSOCIATE)
    await until(lambda: all(session.finished for session in fake.sessions), "both are closed")


async def test_few_connections_at_a_time(fake: FakeServer) -> None:
    """The others wait, and their time has not begun."""
    access = access_to(fake, patience_s=5.0)
    enough = asyncio.Event()
    held = Gauge()

    async def hold() -> None:
        async with access.connection():
            held.up()
            await enough.wait()
            held.down()

    async with asyncio.TaskGroup() as group:
        for _ in range(2 * CONNECTIONS):
            group.create_task(hold())
        await until(lambda: held.now == CONNECTIONS, "as many as may be are held")
        assert fake.counts.connections.total <= CONNECTIONS
        enough.set()
    assert (held.peak, held.total) == (CONNECTIONS, 2 * CONNECTIONS)


async def test_the_quickest_connect_tells_the_round_trip(fake: FakeServer) -> None:
    """The others had to wait for something."""
    access = access_to(fake)
    for before in (None, 1e9):
        access.round_trip_s = before
        async with access.connection():
            assert 0 <= access.round_trip_s < 1e9  # type: ignore[operator]
    access.round_trip_s = 0.0
    async with access.connection():
        assert access.round_trip_s == 0.0


async def test_nobody_there() -> None:
    """The reason is the system's."""
    access = Access((socket.AF_INET, ("127.0.0.1", 1)), None, 5.0)
    with pytest.raises(ConnectionRefusedError):
        async with access.connection():
            pytest.fail("nobody is there")
    assert access.round_trip_s is None


async def test_a_test_that_is_cancelled_closes_its_connection(fake: FakeServer, engine: Engine) -> None:
    """And gives its place back."""
    access = access_to(fake)

    async def wait_for_ever() -> None:
        async with access.connection():
            await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(wait_for_ever())
    await until(lambda: fake.sessions, "it is connected")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: fake.sessions[0].finished, "the server sees the end")
    assert access._places._value == CONNECTIONS
