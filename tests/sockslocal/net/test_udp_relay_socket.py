import contextlib
import errno
import socket

import pytest

from sockslocal.address import Endpoint
from sockslocal.net import udp_relay_socket as module
from sockslocal.net.udp_relay_socket import bound_socket, connect_relay, relay_socket, second_ear


def relay_on(host: str) -> socket.socket:
    """A relay on `host`."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind((host, 0))
    return sock


def connected_to(relay: socket.socket, server: str, here: str) -> socket.socket:
    """A socket to `relay`."""
    return relay_socket(Endpoint(*relay.getsockname()[:2]), server, here)


@pytest.mark.parametrize(("host", "here"), [("127.0.0.1", "127.0.0.2"), ("::1", "::1")])
def test_it_speaks_from_where_the_control_connection_does(host: str, here: str) -> None:
    """To the server itself; in the family of the relay, and without ever waiting."""
    with relay_on(host) as relay, connected_to(relay, host, here) as sock:
        assert not sock.getblocking()
        sock.send(b"ping")
        assert relay.recvfrom(10) == (b"ping", sock.getsockname())
        assert sock.getsockname()[0] == here


def test_a_relay_elsewhere() -> None:
    """To there it speaks from the address that leads there, whichever leads to the server."""
    with relay_on("127.0.0.1") as relay, connected_to(relay, "192.0.2.1", "192.0.2.2") as sock:
        sock.send(b"ping")
        assert relay.recvfrom(10) == (b"ping", sock.getsockname())


def test_nobody_else_is_heard() -> None:
    """Whoever knows where it is."""
    host = "127.0.0.1"
    with relay_on(host) as relay, relay_on(host) as stranger, connected_to(relay, host, host) as sock:
        stranger.sendto(b"forged", sock.getsockname())
        relay.sendto(b"pong", sock.getsockname())
        sock.settimeout(10)
        assert sock.recv(10) == b"pong"


def test_an_address_that_is_not_ours() -> None:
    """The error of the system, and no socket is left open (that would be a ResourceWarning)."""
    with pytest.raises(OSError, match=r"[Cc]annot assign") as caught:
        relay_socket(Endpoint("127.0.0.1", 9), "127.0.0.1", "192.0.2.1")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_the_second_ear_hears_everybody_else() -> None:
    """What the relay sends goes to the first, what others send to the same port to the second."""
    with _bound() as relay, _bound() as stranger:
        first = relay_socket(Endpoint(*relay.getsockname()), "127.0.0.1", "127.0.0.1")
        with first, second_ear(first) as second:
            relay.sendto(b"relay", first.getsockname())
            stranger.sendto(b"stranger", first.getsockname())
            assert (first.recv(100), second.recv(100)) == (b"relay", b"stranger")
            for ear in (first, second):
                with pytest.raises(BlockingIOError):
                    ear.recv(100)


def test_nobody_else_comes_to_the_port_of_a_second_ear() -> None:
    """Who binds it last would hear what the first two should, whoever that is."""
    with _bound() as relay:
        first = relay_socket(Endpoint(*relay.getsockname()), "127.0.0.1", "127.0.0.1")
        with first, second_ear(first), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match=r".+") as caught:
                thief.bind(first.getsockname())
            assert caught.value.errno == errno.EADDRINUSE


def test_no_two_sockets_have_the_same_port() -> None:
    """A relay that serves all at one port of its own could not tell them apart, nor we its answers."""
    with _bound() as relay, contextlib.ExitStack() as stack:
        place = Endpoint(*relay.getsockname())
        sockets = [stack.enter_context(relay_socket(place, place.host, place.host)) for _ in range(400)]
        sockets += [stack.enter_context(bound_socket()) for _ in range(100)]
        assert len({sock.getsockname()[1] for sock in sockets}) == 500


def test_a_relay_that_a_bound_socket_cannot_reach() -> None:
    """The error of the system; the socket is closed."""
    sock = bound_socket()
    with pytest.raises(OSError, match=r".+"):
        connect_relay(sock, Endpoint("::1", 9))
    assert sock.fileno() == -1


def test_a_bound_socket_hears_nobody_but_whom_it_is_connected_to() -> None:
    """Its port is known before the relay is."""
    with _bound() as relay, _bound() as stranger, bound_socket() as sock:
        port = sock.getsockname()[1]
        connect_relay(sock, Endpoint(*relay.getsockname()))
        relay.sendto(b"relay", ("127.0.0.1", port))
        stranger.sendto(b"stranger", ("127.0.0.1", port))
        assert sock.recv(100) == b"relay"
        with pytest.raises(BlockingIOError):
            sock.recv(100)


def test_what_came_to_a_bound_socket_before_it_was_connected_is_forgotten() -> None:
    """Whoever sent it cannot be told from the relay any more."""
    with _bound() as relay, _bound() as stranger, bound_socket() as sock:
        port = sock.getsockname()[1]
        for _ in range(20):
            stranger.sendto(b"forged", ("127.0.0.1", port))
        connect_relay(sock, Endpoint(*relay.getsockname()))
        relay.sendto(b"relay", ("127.0.0.1", port))
        assert sock.recv(100) == b"relay"


def test_a_bound_socket_that_is_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, where a flood would keep the daemon from all else."""
    monkeypatch.setattr(module, "MOST_QUEUED", 3)
    with _bound() as relay, _bound() as stranger, bound_socket() as sock:
        for _ in range(20):
            stranger.sendto(b"forged", ("127.0.0.1", sock.getsockname()[1]))
        with pytest.raises(OSError, match=r".+") as caught:
            connect_relay(sock, Endpoint(*relay.getsockname()))
        assert caught.value.errno == errno.ECONNABORTED
        assert sock.fileno() == -1


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock
