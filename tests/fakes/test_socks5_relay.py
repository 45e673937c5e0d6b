import contextlib
import socket
from collections.abc import Iterator

import pytest

from fakes.raw_server import exactly
from fakes.socks5_plain import Association, is_silent, logged_in, request
from fakes.socks5_relay import Relay
from fakes.socks5_server import Act, FakeServer, Named, PortRule, Script, Stage, UdpFault, UdpScript
from fakes.socks5_wire import UDP_ASSOCIATE, Address, address_octets
from fakes.waiting import wait_until

TRUE_PORT = ("0.0.0.0", -1)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake without login."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """A UDP socket that a test answers from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.1", 0))
        yield sock


def relay_of(server: FakeServer) -> Relay:
    """The relay of the latest association."""
    relay = server.sessions[-1].relay
    assert relay is not None
    return relay


def send_and_echo(association: Association, echo: socket.socket, payload: bytes) -> bytes:
    """Send `payload` through the relay and back; returns the header that `echo` is named by."""
    association.send(echo.getsockname(), payload)
    received, source = echo.recvfrom(70_000)
    assert received == payload
    echo.sendto(received, source)
    return b"\0\0\0" + address_octets(*echo.getsockname())


def passes(association: Association, echo: socket.socket, payload: bytes = b"ping") -> bool:
    """Whether `payload` comes back as it should."""
    header = send_and_echo(association, echo, payload)
    return association.udp.recv(70_000) == header + payload


def is_swallowed(association: Association, server: FakeServer, target: Address) -> bool:
    """Whether a datagram to `target` goes no further than to the relay."""
    relay = relay_of(server)
    before, strangers = len(relay.received), relay.strangers
    association.send(target, b"ping")
    wait_until(lambda: relay.strangers > strangers, seconds=5, what="it is taken for a stranger's")
    return len(relay.received) == before


def test_datagrams_pass_both_ways(server: FakeServer, echo: socket.socket) -> None:
    """Even an empty one, with the true source in the header; and all of it is counted."""
    with Association(server) as association:
        assert passes(association, echo, b"ping")
        assert passes(association, echo, b"")
        relay = relay_of(server)
        assert relay.received == [(echo.getsockname(), b"ping"), (echo.getsockname(), b"")]
        assert (server.counts.associations.now, server.counts.datagrams) == (1, 2)
    wait_until(lambda: not server.counts.associations.now, seconds=5, what="it has ended")
    with Association(server), Association(server):
        assert (server.counts.associations.peak, server.counts.associations.total) == (2, 3)
        assert server.counts.connections.now == 2


def test_targets_with_ipv6(server: FakeServer) -> None:
    """They are reached from an address of their kind."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six, Association(server) as association:
        six.settimeout(5)
        six.bind(("::1", 0))
        association.send(six.getsockname()[:2], b"ping")
        data, source = six.recvfrom(100)
        assert data == b"ping"
        six.sendto(b"pong", source)
        assert association.udp.recv(100) == b"\0\0\0" + address_octets(*six.getsockname()[:2]) + b"pong"


# what is asked for, and what is named


@pytest.mark.parametrize(
    ("host", "code"), [("0.0.0.0", 0), ("127.0.0.1", 0), ("0", 0), ("192.0.2.1", 4), ("::", 8)]
)
def test_requests_that_name_another_client(server: FakeServer, host: str, code: int) -> None:
    """Only the client's own address is granted, or zeros of the right kind; as Dante does."""
    with logged_in(server) as sock:
        assert request(sock, host, 0, command=UDP_ASSOCIATE)[1] == code


def test_a_port_is_taken_at_its_word(server: FakeServer, echo: socket.socket) -> None:
    """Datagrams from another port than the one that was asked for are swallowed."""
    with Association(server, TRUE_PORT) as association:
        assert passes(association, echo)
    with Association(server, ("0.0.0.0", 9)) as association:
        assert is_swallowed(association, server, echo.getsockname())


def test_the_first_port_is_the_clients(server: FakeServer, echo: socket.socket) -> None:
    """After zeros; what comes from another one is swallowed."""
    with Association(server) as association, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        assert passes(association, echo)
        other.sendto(b"\0\0\0" + address_octets(*echo.getsockname()) + b"stolen", relay_of(server).address)
        wait_until(lambda: relay_of(server).strangers == 1, seconds=5, what="the stranger is seen")
        assert passes(association, echo)
        assert len(relay_of(server).received) == 2


def test_a_server_that_wants_the_true_port(server: FakeServer, echo: socket.socket) -> None:
    """It relays nothing after zeros."""
    server.script = Script(udp=UdpScript(port_rule=PortRule.TRUE))
    with Association(server) as association:
        assert is_swallowed(association, server, echo.getsockname())
    with Association(server, TRUE_PORT) as association:
        assert passes(association, echo)


def test_a_server_that_does_not_look(server: FakeServer, echo: socket.socket) -> None:
    """It relays for any port, whatever was asked for."""
    server.script = Script(udp=UdpScript(port_rule=PortRule.ANY))
    with Association(server, ("0.0.0.0", 9)) as association:
        assert passes(association, echo)


@pytest.mark.parametrize(
    ("host", "octets"),
    [("", b"\3\0"), ("\0", b"\3\1\0"), ("x.test", b"\3\6x.test"), ("10.0.0.1", b"\1\x0a\0\0\1")],
)
def test_the_relay_under_another_name(server: FakeServer, host: str, octets: bytes) -> None:
    """The reply names the host that the script says, and the relay's own port."""
    server.script = Script(bound_host=host)
    with logged_in(server) as sock:
        sock.sendall(b"\5\3\0" + address_octets("0.0.0.0", 0))
        expected = b"\5\0\0" + octets + relay_port(server)
        assert exactly(sock, len(expected)) == expected


def relay_port(server: FakeServer) -> bytes:
    """The port of the one relay, once there is one."""
    wait_until(lambda: bool(server.passages), seconds=5, what="there is a relay")
    return relay_of(server).address[1].to_bytes(2)


def test_the_relay_on_another_address(server: FakeServer, echo: socket.socket) -> None:
    """It is truly there."""
    server.script = Script(relay_host="127.0.0.2")
    with Association(server) as association:
        assert association.udp.getpeername()[0] == "127.0.0.2"
        assert passes(association, echo)


# what comes back


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (UdpScript(fragment=1), b"\0\0\1{header}ping"),
        (UdpScript(reserved=b"\1\2"), b"\1\2\0{header}ping"),
        (UdpScript(header_address=address_octets("x.test", 7)), b"\0\0\0\3\6x.test\0\7ping"),
        (UdpScript(named=Named.CLIENT), b"\0\0\0{client}ping"),
        (UdpScript(fault=UdpFault.TRUNCATED), b"\0\0\0\1\x7f"),
        (UdpScript(fault=UdpFault.GARBAGE), b"\0\0\0\x09{rest}ping"),
    ],
)
def test_headers_as_scripted(
    server: FakeServer, echo: socket.socket, script: UdpScript, expected: bytes
) -> None:
    """FRAG, RSV, another address, or nonsense."""
    server.script = Script(udp=script)
    with Association(server) as association:
        header = send_and_echo(association, echo, b"ping")[3:]
        client = address_octets(*association.udp.getsockname())
        for name, octets in ((b"{header}", header), (b"{rest}", header[1:]), (b"{client}", client)):
            expected = expected.replace(name, octets)
        assert association.udp.recv(100) == expected


@pytest.mark.parametrize(("named", "host"), [(Named.REQUEST, "echo.test"), (Named.SOURCE, "127.0.0.1")])
def test_names_come_back_as_scripted(
    server: FakeServer, echo: socket.socket, named: Named, host: str
) -> None:
    """As the name that was asked for, or as the address that it has."""
    server.names["echo.test"] = ("127.0.0.1", 0)
    server.script = Script(udp=UdpScript(named=named))
    port = echo.getsockname()[1]
    with Association(server) as association:
        association.send(("echo.test", port), b"ping")
        echo.sendto(*echo.recvfrom(100))
        assert association.udp.recv(100) == b"\0\0\0" + address_octets(host, port) + b"ping"


@pytest.mark.parametrize("fault", [UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS, UdpFault.DROP])
def test_datagrams_from_elsewhere_miss_a_connected_socket(
    server: FakeServer, echo: socket.socket, fault: UdpFault
) -> None:
    """A client that has connected its socket to the relay sees none of them."""
    server.script = Script(udp=UdpScript(fault=fault))
    with Association(server) as association:
        send_and_echo(association, echo, b"ping")
        assert is_silent(association.udp)


@pytest.mark.parametrize(("fault", "host"), [(UdpFault.OTHER_PORT, 1), (UdpFault.OTHER_ADDRESS, 3)])
def test_datagrams_from_elsewhere_reach_an_open_socket(
    server: FakeServer, echo: socket.socket, fault: UdpFault, host: int
) -> None:
    """From a port, or an address, that is not the relay's."""
    server.script = Script(udp=UdpScript(fault=fault))
    with Association(server, connected=False) as association:
        send_and_echo(association, echo, b"ping")
        data, source = association.udp.recvfrom(100)
        assert data[-4:] == b"ping"
        assert source[0] == f"127.0.0.{host}"
        assert source != relay_of(server).address


def test_injected_datagrams(server: FakeServer, echo: socket.socket) -> None:
    """A test sends what it likes, from the relay's port or from another."""
    with Association(server) as association:
        assert passes(association, echo)
        server.inject(server.sessions[0], b"forged", from_elsewhere=True)
        server.inject(server.sessions[0], b"real", from_elsewhere=False)
        assert association.udp.recv(100) == b"real"


@pytest.mark.parametrize(
    ("script", "arrives"), [(UdpScript(cut_above=8), b"01234567"), (UdpScript(lost_above=8), None)]
)
def test_large_datagrams(
    server: FakeServer, echo: socket.socket, script: UdpScript, arrives: bytes | None
) -> None:
    """Above the limit they are cut, or lost; up to it they pass."""
    server.script = Script(udp=script)
    with Association(server) as association:
        assert passes(association, echo, b"12345678")
        association.send(echo.getsockname(), b"0123456789")
        if arrives is None:
            assert is_silent(echo)
        else:
            assert echo.recv(100) == arrives


def test_late_answers(server: FakeServer, echo: socket.socket) -> None:
    """They come, after those to which the delay was not said yet."""
    with Association(server) as association:
        server.switch(UdpScript(delay=0.1))
        header = send_and_echo(association, echo, b"late")
        wait_until(lambda: relay_of(server).late == 1, seconds=5, what="it waits")
        server.switch(UdpScript())
        send_and_echo(association, echo, b"soon")
        assert [association.udp.recv(100) for _ in range(2)] == [header + b"soon", header + b"late"]


def test_a_server_with_little_room(server: FakeServer, echo: socket.socket) -> None:
    """It grants so many at a time, and more when those have ended."""
    server.most_associations = 1
    with Association(server) as association:
        assert passes(association, echo)
        with logged_in(server) as sock:
            assert request(sock, "0.0.0.0", 0, command=UDP_ASSOCIATE)[1] == 1
    wait_until(lambda: not server.counts.associations.now, seconds=5, what="it has ended")
    with Association(server) as association:
        assert passes(association, echo)


# the end


def test_a_datagram_may_close_the_control_connection(server: FakeServer, echo: socket.socket) -> None:
    """EOF on the control connection, and the relay's port is closed with it."""
    server.script = Script(udp=UdpScript(fault=UdpFault.CONTROL_CLOSED, after=1))
    with Association(server) as association:
        assert passes(association, echo)
        association.send(echo.getsockname(), b"ping")
        assert association.control.recv(1) == b""
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")


def test_a_dead_relay_leaves_the_control_connection(server: FakeServer, echo: socket.socket) -> None:
    """As Dante's does after a poisonous datagram; it is no association any more."""
    server.script = Script(udp=UdpScript(fault=UdpFault.RELAY_DEAD, after=1))
    with Association(server) as association:
        assert passes(association, echo)
        association.send(echo.getsockname(), b"ping")
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")
        assert is_silent(association.control)
        assert (server.counts.associations.now, server.counts.connections.now) == (0, 1)


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        (("127.0.0.1", 0), b"x"),
        (("127.0.0.1", 9), b""),
        (("nowhere.test", 9), b"x"),
        (("255.255.255.255", 9), b"x"),
        (("224.0.0.1", 9), b"x"),
    ],
)
def test_poison(server: FakeServer, echo: socket.socket, target: Address, payload: bytes) -> None:
    """What some real relay dies of kills this one, and what none dies of does not."""
    server.names["somewhere.test"] = ("127.0.0.1", 0)
    server.script = Script(udp=UdpScript(fault=UdpFault.POISON))
    with Association(server) as association:
        association.send(("somewhere.test", 9), b"x")
        assert passes(association, echo)
        association.send(target, payload)
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")
        assert is_silent(association.control)


@pytest.mark.parametrize("datagram", [b"\0\1\0{address}ping", b"\0\0\1{address}ping", b"\0\0\0\1", b""])
def test_a_touchy_server(server: FakeServer, echo: socket.socket, datagram: bytes) -> None:
    """RSV, FRAG and cut headers end the association, as with 3proxy."""
    server.script = Script(udp=UdpScript(fault=UdpFault.TOUCHY))
    with Association(server) as association:
        association.udp.send(datagram.replace(b"{address}", address_octets(*echo.getsockname())))
        assert association.control.recv(1) == b""


def test_a_patient_server(server: FakeServer, echo: socket.socket) -> None:
    """Others drop what is fragmented or cut, and RSV means nothing to them."""
    with Association(server) as association:
        address = address_octets(*echo.getsockname())
        for datagram in (b"\0\0\1" + address + b"ping", b"\0\0\0\1", b""):
            association.udp.send(datagram)
        association.udp.send(b"\1\1\0" + address + b"ping")
        assert echo.recv(100) == b"ping"
        assert len(relay_of(server).malformed) == 3


@pytest.mark.parametrize("half", [True, False])
def test_the_control_connection_is_not_to_be_touched(
    server: FakeServer, echo: socket.socket, *, half: bool
) -> None:
    """An octet ends the association, and so does a half-close."""
    with Association(server) as association:
        assert passes(association, echo)
        if half:
            association.control.shutdown(socket.SHUT_WR)
        else:
            association.control.send(b"?")
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")


def test_idle_associations_end(server: FakeServer, echo: socket.socket) -> None:
    """After the scripted time without a datagram from the client, and not before."""
    server.script = Script(udp=UdpScript(idle=60))
    with Association(server) as association:
        assert passes(association, echo)
        assert is_silent(association.control)
        server.switch(UdpScript(idle=0))
        assert association.control.recv(1) == b""


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
def test_associations_that_are_closed_at_once(server: FakeServer, act: Act) -> None:
    """The relay's port is closed by then, though the client has not closed its direction."""
    server.script = Script(at=Stage.RELAY, act=act)
    with Association(server) as association:
        with contextlib.suppress(ConnectionResetError):
            assert association.control.recv(1) == b""
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")


def test_a_relay_may_outlive_its_control_connection(server: FakeServer, echo: socket.socket) -> None:
    """Until the server stops."""
    server.script = Script(udp=UdpScript(outlives=True))
    with Association(server) as association:
        server.end_associations()
        assert association.control.recv(1) == b""
        assert passes(association, echo)
        server.stop()
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")


# while it runs


def test_switched_while_it_runs(server: FakeServer, echo: socket.socket) -> None:
    """Associations that are open go silent and speak again; their relays die; they are ended."""
    with Association(server) as association, Association(server) as other:
        assert passes(association, echo)
        server.switch(UdpScript(fault=UdpFault.DROP))
        send_and_echo(association, echo, b"ping")
        assert is_silent(association.udp)
        server.switch(UdpScript())
        assert passes(association, echo)
        server.kill_relays()
        wait_until(association.is_refused, seconds=5, what="the relay's port is closed")
        assert is_silent(association.control)
        server.end_associations()
        assert association.control.recv(1) == b""
        assert other.control.recv(1) == b""


def test_a_server_moves(server: FakeServer, echo: socket.socket) -> None:
    """To another port; at the old one nobody listens."""
    old = server.address
    with Association(server):
        server.move()
    assert server.address != old
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old, timeout=5)
    with Association(server) as association:
        assert passes(association, echo)
