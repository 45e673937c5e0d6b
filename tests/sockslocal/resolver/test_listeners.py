import errno
import socket

import pytest

from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.errors import ListenError
from sockslocal.net.engine import Engine
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.listeners import Listeners
from sockslocal.resolver.pipeline import Backend, Pipeline
from sockslocal.resolver.statistics import Statistics


def listeners(engine: Engine) -> Listeners:
    """Whom nobody asks anything."""
    return Listeners(engine, Backend(Cache(1), Pipeline(()), Statistics(), lambda: 0))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_in_use_is_an_error_and_nothing_stays_open(
    engine: Engine, kind: socket.SocketKind
) -> None:
    """Listening on all addresses or on none."""
    made = listeners(engine)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(ListenError) as error:
            made.open((Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", taken.getsockname()[1])))
    assert error.value.problem.code == "port-in-use"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(made.endpoints[0])


@pytest.mark.parametrize("last", [1, 2, 4])
async def test_what_cannot_be_watched_is_not_listened_on(
    engine: Engine, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the socket that is one too many, of either kind, nor those before it; and it is told."""
    watch, watched = engine.poller._watch, list[socket.socket]()

    def full(sock: socket.socket) -> None:
        watched.append(sock)
        if len(watched) == last:
            raise OSError(errno.ENOSPC, "No space left on device")
        watch(sock)

    monkeypatch.setattr(engine.poller, "_watch", full)
    with pytest.raises(ListenError, match=r'resolver "dns".*no more sockets can be watched'):
        listeners(engine).open([Endpoint("127.0.0.1", free_port()), Endpoint("127.0.0.1", free_port())])
    assert [sock.fileno() for sock in watched] == [-1] * last
