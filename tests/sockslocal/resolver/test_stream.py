import asyncio
import socket
from typing import NoReturn

import pytest

from fakes.dns_tunnel import REFUSAL, FakeTunnel, until
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import stream
from sockslocal.resolver.stream import PlainDial, PlainStream

pytestmark = pytest.mark.usefixtures("quick_loop")

SERVER = Endpoint("192.0.2.53", 53)


async def test_octets_pass_until_the_end() -> None:
    """Then there are none."""
    near, far = socket.socketpair()
    made = PlainStream(*await asyncio.open_connection(sock=near))
    with far:
        made.write(b"there")
        assert far.recv(100) == b"there"
        far.sendall(b"back")
        assert await made.read() == b"back"
    assert await made.read() == b""
    made.close()


async def test_who_does_not_read_is_left() -> None:
    """What he is owed is not kept without end."""
    near, far = socket.socketpair()
    made = PlainStream(*await asyncio.open_connection(sock=near))
    with far, pytest.raises(ConnectionAbortedError):
        made.write(bytes(10_000_000))
    made.close()


async def test_who_is_gone_is_written_to_no_more() -> None:
    """Whoever asks is told at once, and can ask elsewhere."""
    near, far = socket.socketpair()
    made = PlainStream(*await asyncio.open_connection(sock=near))
    far.close()
    made.write(b"into the void")
    with pytest.raises(ConnectionResetError):
        made.write(b"again")
    made.close()


class Slow(FakeTunnel):
    """Each attempt takes as many seconds as it is told, and then connects."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self.seconds = list(seconds)
        self.ends: list[socket.socket] = []
        """The far ends of what was connected."""

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.targets.append(target)
        await asyncio.sleep(self.seconds.pop(0))
        near, far = socket.socketpair()
        self.ends.append(far)
        return await asyncio.open_connection(sock=near)


@pytest.mark.parametrize(
    ("seconds", "attempts", "after"),
    [((1.5,), 1, 1.5), ((100, 0.5), 2, 2.5), ((5, 100, 100), 3, 5), ((100, 100, 1), 3, 5)],
)
async def test_the_first_that_connects_is_taken(seconds: list[float], attempts: int, after: float) -> None:
    """An attempt that takes long is joined by another after 2 s, and goes on: it may be slow, or hang."""
    tunnel = Slow(*seconds)
    started = asyncio.get_running_loop().time()
    made = await PlainDial(tunnel, SERVER)()
    assert asyncio.get_running_loop().time() - started == pytest.approx(after)
    assert tunnel.targets == [SERVER] * attempts
    (far,) = tunnel.ends
    with far:
        made.close()
        await asyncio.sleep(0)
        assert far.recv(1) == b""


async def test_attempts_end() -> None:
    """With TimeoutError, 2 s after the last has begun."""
    tunnel = Slow(*[100] * stream.ATTEMPTS)
    started = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await PlainDial(tunnel, SERVER)()
    assert asyncio.get_running_loop().time() - started == pytest.approx(stream.ATTEMPTS * stream.ATTEMPT_S)
    assert tunnel.targets == [SERVER] * stream.ATTEMPTS


async def test_a_refusal_is_not_waited_for() -> None:
    """Whoever refuses has spoken."""
    tunnel = Slow(100)
    tunnel.refusal = REFUSAL
    dialing = asyncio.create_task(PlainDial(tunnel, SERVER)())
    await asyncio.sleep(stream.ATTEMPT_S / 2)
    assert not dialing.done()

    async def refused(_target: Endpoint) -> NoReturn:
        raise REFUSAL

    tunnel.open_stream = refused  # type: ignore[assignment]
    with pytest.raises(ServerError):
        await dialing


async def test_two_at_once_are_one() -> None:
    """The other is closed."""
    tunnel = Slow(stream.ATTEMPT_S + 0.5, 0.5)
    made = await PlainDial(tunnel, SERVER)()
    await until(lambda: len(tunnel.ends) == 2)
    made.close()
    await asyncio.sleep(0)
    for far in tunnel.ends:
        with far:
            far.settimeout(1)
            assert far.recv(1) == b""
