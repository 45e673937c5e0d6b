import asyncio
import socket

import pytest

from fakes.dns_tunnel import FakeTunnel
from sockslocal.address import Endpoint
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


async def test_a_connection_that_hangs_is_tried_twice() -> None:
    """After an outage the second works where the first does not know that it is over."""

    class Hanging(FakeTunnel):
        async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            self.targets.append(target)
            await asyncio.Event().wait()
            raise AssertionError

    tunnel = Hanging()
    started = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await PlainDial(tunnel, SERVER)()
    assert asyncio.get_running_loop().time() - started == pytest.approx(sum(stream.CONNECT_S))
    assert tunnel.targets == [SERVER] * 2
