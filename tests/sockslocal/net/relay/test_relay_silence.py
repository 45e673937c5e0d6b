import socket

import pytest

from fakes.engine import turns
from fakes.joints import Joint, receive, receive_all, send, send_without_end
from fakes.sockets import reset
from sockslocal.net.relay import End


@pytest.mark.parametrize("spoken", [b"", b"question"])
async def test_rejected(joint: Joint, spoken: bytes) -> None:
    """A server that ends before anything passed has refused: the program reads a reset."""
    joint.program.send(spoken)
    joint.server.shutdown(socket.SHUT_WR)
    await turns()
    joint.start()
    assert await joint.end() is End.REJECTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_rejected_by_reset(joint: Joint) -> None:
    """The same where it ends with a reset."""
    joint.start()
    await turns()
    reset(joint.server)
    assert await joint.end() is End.REJECTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_unanswered(joint: Joint) -> None:
    """A server that ends without answering what the program said: to the program a clean end."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert not joint.ends
    joint.program.shutdown(socket.SHUT_WR)
    assert await joint.end() is End.UNANSWERED


async def test_unanswered_by_reset(joint: Joint) -> None:
    """A server that is reset before it answers what the program said: the program is reset, and told why."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    reset(joint.server)
    assert await joint.end() is End.UNANSWERED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_unanswered_and_then_aborted(joint: Joint) -> None:
    """What the program does after an end without answer does not change what the server did."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    reset(joint.program)
    assert await joint.end() is End.UNANSWERED
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(joint.server)


async def test_silence_after_the_program_ended(joint: Joint) -> None:
    """A server that ends without a word after the program's end has nothing to answer for."""
    joint.start()
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b""
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert await joint.end() is End.FINISHED
