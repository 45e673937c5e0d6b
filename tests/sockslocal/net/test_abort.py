import socket

import pytest

from fakes.engine import POLLERS
from fakes.sockets import closing, tcp_pair
from sockslocal.net.abort import abort
from sockslocal.net.engine import Engine


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("watched", [True, False])
async def test_the_peer_reads_a_reset(engine: Engine, *, watched: bool) -> None:
    """Whether the poller knows the socket, as it does of most, or not."""
    ours, theirs = tcp_pair()
    with closing(ours, theirs):
        if watched:
            engine.poller.register(ours, lambda _: None)
        abort(engine.poller, ours)
        assert ours.fileno() == -1
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


class _Refusing(socket.socket):
    """As on a system that takes no options of a connection that has ended."""

    def setsockopt(self, *_arguments: object) -> None:
        raise OSError("invalid argument")


async def test_it_is_closed_in_any_case(engine: Engine) -> None:
    """Also where the system refuses the option, as macOS does after a reset."""
    sock = _Refusing(socket.AF_INET, socket.SOCK_STREAM)
    abort(engine.poller, sock)
    assert sock.fileno() == -1
