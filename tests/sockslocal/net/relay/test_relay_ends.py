import asyncio
import contextlib
import socket

import pytest

from fakes.engine import turns, until
from fakes.joints import (
    MIB,
    Joint,
    pumps,
    read_exactly,
    receive,
    receive_all,
    send,
    send_without_end,
    sides,
    some_octets,
    until_stalled,
)
from fakes.sockets import reset
from sockslocal.net.pump import Turn
from sockslocal.net.relay import End


async def test_program_ends_first(joint: Joint) -> None:
    """After the program's FIN the server's 10 MB still arrive, and then its FIN."""
    late = some_octets(10 * MIB)

    joint.start()
    await send(joint.program, b"question")
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b"question"
    await asyncio.gather(
        send(joint.server, late[: 5 * MIB]), turns(10), read_exactly(joint.program, late[: 5 * MIB])
    )
    assert not joint.ends, "one direction lives"
    await asyncio.gather(send(joint.server, late[5 * MIB :]), read_exactly(joint.program, late[5 * MIB :]))
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert await joint.end() is End.FINISHED


async def test_server_ends_first(joint: Joint) -> None:
    """After the server's FIN the program's 10 MB still arrive, and then its FIN."""
    late = some_octets(10 * MIB)

    joint.start()
    await send(joint.server, b"welcome")
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b"welcome"
    await asyncio.gather(send(joint.program, late), read_exactly(joint.server, late))
    assert not joint.ends, "one direction lives"
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b""
    assert await joint.end() is End.FINISHED


async def test_end_behind_bulk_for_a_slow_reader(joint: Joint) -> None:
    """A FIN waits behind what came before it, and its edge is not lost while the sink is full."""
    data = some_octets(12 * MIB)

    joint.start()

    async def speak() -> None:
        await send(joint.server, data)
        joint.server.shutdown(socket.SHUT_WR)

    speaking = asyncio.create_task(speak())
    await until(lambda: pumps(joint)[1].last is Turn.FULL, "the program's buffers are full")
    await turns()
    assert await receive_all(joint.program) == data
    await speaking


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_when_idle(joint: Joint, aborting: str) -> None:
    """A reset on one side is a reset on the other."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    await send(joint.server, b"answer")
    await receive(joint.program, 6)
    there, here = sides(joint, aborting)
    reset(there)
    with pytest.raises(ConnectionResetError):
        await receive_all(here)
    assert await joint.end() is End.ABORTED


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_by_a_stalled_reader(joint: Joint, aborting: str) -> None:
    """Who does not read may abort: the sender, whose octets wait in the relay, hears of it."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(there, b"x")
    await receive(here, 1)
    await until_stalled(joint, here)
    reset(there)
    with pytest.raises(ConnectionResetError):
        await receive_all(here)
    assert await joint.end() is End.ABORTED


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_by_a_stalled_sender(joint: Joint, aborting: str) -> None:
    """Who cannot send on, because the other side does not read, may abort: it is an abort there too."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(here, b"x")
    await receive(there, 1)
    await until_stalled(joint, there)
    reset(there)
    assert await joint.end() is End.ABORTED
    with pytest.raises(ConnectionResetError):
        await receive_all(here)


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_after_an_end(joint: Joint, aborting: str) -> None:
    """A side that has sent its FIN may abort later: the other one hears of it."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(there, b"last words")
    there.shutdown(socket.SHUT_WR)
    assert await receive_all(here) == b"last words"
    await send(here, b"unread")
    await turns()
    reset(there)
    assert await joint.end() is End.ABORTED
    await turns()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(here)


async def test_end_and_abort_at_once(joint: Joint) -> None:
    """A FIN and an RST that come together are an abort, though a read finds only the end."""
    joint.start()
    await send(joint.server, b"unread")
    await turns()
    joint.program.shutdown(socket.SHUT_WR)
    reset(joint.program)
    assert await joint.end() is End.ABORTED
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(joint.server)


@pytest.mark.parametrize("bulk", [False, True])
async def test_abort_from_here(joint: Joint, bulk: bool) -> None:  # noqa: FBT001  a parameter of the test
    """`abort` resets both sides, also in the middle of a stream; a second time it does nothing."""
    joint.start()
    if bulk:
        await until_stalled(joint, joint.server)
        assert pumps(joint)[1].held
    joint.relay.abort()
    joint.relay.abort()
    assert joint.ends == [End.ABORTED]
    for sock in (joint.program, joint.server):
        with pytest.raises(ConnectionResetError):
            await receive_all(sock)


async def test_a_late_reset_takes_nothing_back(joint: Joint) -> None:
    """What the server said and ended stays readable, though it then resets what the program still sends."""
    answer = some_octets(6 * MIB)

    joint.program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)

    async def answer_and_go() -> None:
        await send(joint.server, answer)
        joint.server.shutdown(socket.SHUT_WR)

    heard = bytearray()

    def has_passed_on_the_end() -> bool:
        """Room is made only where it is waited for: how much the buffers hold is the system's to say."""
        if pumps(joint)[1].last is Turn.FULL:
            with contextlib.suppress(BlockingIOError):
                heard.extend(joint.program.recv(65_536))
        return pumps(joint)[1].last is Turn.ENDED

    answering = asyncio.create_task(answer_and_go())
    heard += await receive(joint.program, 3 * MIB)
    await until(has_passed_on_the_end, "the relay has passed on the end")
    assert len(heard) < len(answer)
    await answering
    joint.server.close()
    await send(joint.program, b"one more question")
    assert await joint.end() is End.ABORTED
    heard += await receive_all(joint.program)
    assert heard == answer
