import asyncio
import hashlib
import random
import socket

import pytest

from fakes.engine import turns
from fakes.joints import MIB, Joint, Way, receive, receive_all, send, sides, some_octets
from fakes.sockets import reset, unix_pair
from sockslocal.net import pipes
from sockslocal.net.pipes import Pipe, PipePool
from sockslocal.net.poller import READABLE
from sockslocal.net.pump import CHUNK
from sockslocal.net.relay import End


async def test_both_ways(joint: Joint) -> None:
    """What each side says the other hears, and it is counted."""
    joint.start()
    await send(joint.program, b"question")
    assert await receive(joint.server, 8) == b"question"
    await send(joint.server, b"answer")
    assert await receive(joint.program, 6) == b"answer"
    assert (joint.relay.sent, joint.relay.received) == (8, 6)


async def test_bulk(joint: Joint) -> None:
    """64 MB down and 16 MB up at the same time arrive as they were sent."""
    up, down = some_octets(16 * MIB), some_octets(64 * MIB)

    async def sent_and_ended(sock: socket.socket, data: bytes) -> None:
        await send(sock, data)
        sock.shutdown(socket.SHUT_WR)

    joint.start()
    _, _, heard_up, heard_down = await asyncio.gather(
        sent_and_ended(joint.program, up),
        sent_and_ended(joint.server, down),
        receive_all(joint.server),
        receive_all(joint.program),
    )
    assert hashlib.sha256(heard_up).digest() == hashlib.sha256(up).digest()
    assert hashlib.sha256(heard_down).digest() == hashlib.sha256(down).digest()
    assert await joint.end() is End.FINISHED
    assert (joint.relay.sent, joint.relay.received) == (16 * MIB, 64 * MIB)


async def chat(joint: Joint, seed: int) -> None:
    """Both sides send and read in pieces of random length, stop now and then, and end one after the other."""
    dice = random.Random(seed)
    loop = asyncio.get_running_loop()

    def length() -> int:
        return dice.choice((1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, dice.randrange(1, 300_000)))

    async def speak(sock: socket.socket, data: bytes) -> None:
        start = 0
        while start < len(data):
            size = length()
            await loop.sock_sendall(sock, data[start : start + size])
            start += size
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        sock.shutdown(socket.SHUT_WR)

    async def listen(sock: socket.socket) -> bytes:
        found = bytearray()
        while data := await loop.sock_recv(sock, length()):
            found += data
            if dice.random() < 0.1:
                await asyncio.sleep(0.001)
        return bytes(found)

    up, down = dice.randbytes(4 * MIB), dice.randbytes(6 * MIB)
    async with asyncio.timeout(30):
        _, _, heard_up, heard_down = await asyncio.gather(
            speak(joint.program, up), speak(joint.server, down), listen(joint.server), listen(joint.program)
        )
    assert heard_up == up
    assert heard_down == down
    assert await joint.end() is End.FINISHED


@pytest.mark.parametrize("seed", range(3))
async def test_any_pieces(joint: Joint, seed: int) -> None:
    """However the octets are cut when sent and when read, they arrive."""
    joint.start()
    await chat(joint, seed)


async def test_small_pipes(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pipes of one page, as the kernel leaves them to a user over the limit, it is only slower."""
    monkeypatch.setattr(pipes, "CAPACITY", 4096)

    joint.start()
    await chat(joint, 3)


class FlakyPool(PipePool):
    """Lends only now and then, as where descriptors come and go."""

    def __init__(self) -> None:
        super().__init__()
        self._dice = random.Random(0)

    def borrow(self) -> Pipe | None:
        return super().borrow() if self._dice.random() < 0.5 else None


@pytest.mark.parametrize("make_pool", [FlakyPool])
async def test_pipes_that_come_and_go(joint: Joint) -> None:
    """A stream may splice at one time and copy at another."""
    joint.start()
    await chat(joint, 4)


@pytest.mark.parametrize("make_pair", [unix_pair])
async def test_program_on_a_unix_socket(joint: Joint) -> None:
    """The local side may be a Unix socket."""
    joint.start()
    await chat(joint, 5)


async def test_urgent_data_stalls_nothing(joint: Joint) -> None:
    """What follows urgent data arrives without more having to come."""
    joint.start()
    await turns()
    joint.program.send(b"before")
    joint.program.send(b"!", socket.MSG_OOB)
    joint.program.send(b"after")
    heard = b""
    while not heard.endswith(b"after"):
        heard += await receive(joint.server, 1)
    assert heard in (b"beforeafter", b"before!after")


async def test_leftover_first(joint: Joint) -> None:
    """What came behind the server's reply is heard first, and then what came since."""
    await send(joint.server, b" and the rest")
    await turns()
    joint.start(leftover=b"the beginning")
    assert await receive(joint.program, 26) == b"the beginning and the rest"
    assert joint.relay.received == 26


@pytest.mark.parametrize("rest", [b"", b" and the rest"])
async def test_leftover_with_the_end(joint: Joint, rest: bytes) -> None:
    """A server that answered and ended together with its reply is heard to the end."""
    joint.server.send(rest)
    joint.server.shutdown(socket.SHUT_WR)
    await turns()
    joint.start(leftover=b"the beginning")
    assert await receive_all(joint.program) == b"the beginning" + rest
    joint.program.shutdown(socket.SHUT_WR)
    assert await joint.end() is End.FINISHED


async def test_leftover_alone(joint: Joint) -> None:
    """What came behind the reply is heard although nothing came since."""
    await turns()
    joint.edges["remote"] = 0
    joint.start(leftover=b"the beginning")
    assert await receive(joint.program, 13) == b"the beginning"
    await send(joint.server, b" and the rest")
    assert await receive(joint.program, 13) == b" and the rest"


async def test_leftover_for_a_program_that_left(joint: Joint) -> None:
    """What cannot be delivered because the program has gone is no rejection by the server."""
    reset(joint.program)
    await turns()
    joint.edges["local"] = 0
    joint.start(leftover=b"the beginning")
    assert await joint.end() is End.ABORTED


async def test_program_ended_before_the_start(joint: Joint) -> None:
    """A program that spoke and ended while the way was made is heard, to the end."""
    await send(joint.program, b"question")
    joint.program.shutdown(socket.SHUT_WR)
    await turns()
    joint.start()
    assert await receive_all(joint.server) == b"question"
    await send(joint.server, b"answer")
    assert await receive(joint.program, 6) == b"answer"


async def test_program_aborted_before_the_start(joint: Joint) -> None:
    """A program that aborted while the way was made ends it."""
    await turns()
    reset(joint.program)
    await turns()
    joint.start()
    assert await joint.end() is End.ABORTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.server)


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_error_before_the_start(joint: Joint, aborting: str, way: Way) -> None:
    """An error that was told before the start is an abort, though a read may now find a mere end."""
    if way.tls and aborting == "server":
        pytest.skip("what the server said may be lost in what is between")
    await send(joint.server, b"welcome")
    await turns()
    there, here = sides(joint, aborting)
    reset(there)
    await turns()
    ours, side = (joint.local, "local") if aborting == "program" else (joint.remote, "remote")
    ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # as who looks for errors does
    joint.edges[side] |= READABLE
    joint.start()
    assert joint.ends == [End.ABORTED]
    if aborting == "program":
        with pytest.raises(ConnectionResetError):
            await receive_all(here)
