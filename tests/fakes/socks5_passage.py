"""What a relay and a stream that carries datagrams have in common: one client, and any target."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable

from fakes.socks5_counts import Counts, Gauge
from fakes.socks5_script import Named, UdpFault, UdpScript
from fakes.socks5_wire import Address, address_octets, parse_address

LARGEST = 65_535
RECEIVE_BUFFER = 1 << 20


def bound_socket(host: str) -> socket.socket:
    """A UDP socket on a free port of `host`, for use with a loop."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.bind((host, 0))
    return sock


class Passage:
    """Made, used and ended in the server's loop."""

    def __init__(
        self, script: UdpScript, resolve: Callable[[Address], Address], counts: Counts, gauge: Gauge
    ) -> None:
        self.script = script
        self.received: list[tuple[Address, bytes]] = []
        """Target and payload of each datagram the client sent."""
        self.malformed: list[bytes] = []
        self.answered = 0
        """How many datagrams of targets were dealt with as the script has it."""
        self.late = 0
        """How many more wait for the time that the script lets pass."""
        self.control_lost = asyncio.Event()
        """Set when the script wants the connection closed."""
        self.closed = False
        self._resolve = resolve
        self._counts = counts
        self._gauge = gauge
        self._seen = 0
        self._exits: dict[int, socket.socket] = {}
        self._asked: dict[Address, bytes] = {}
        """How the client wrote each target."""
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._used()
        gauge.up()

    def switch(self, script: UdpScript) -> None:
        """Go on by another script."""
        self.script = script
        self._used()

    def close(self) -> None:
        """Pass nothing more; twice does no harm."""
        if self.closed:
            return
        self.closed = True
        self._gauge.down()
        if self._idle is not None:
            self._idle.cancel()
        for sock in self._exits.values():
            self._loop.remove_reader(sock)
            sock.close()

    async def until_lost(self) -> None:
        """Return when the script wants the connection closed."""
        await self.control_lost.wait()

    def client_address(self) -> Address:
        """Where the client is."""
        raise NotImplementedError

    def deliver(self, address: bytes, payload: bytes) -> None:
        """Send the client what came from a target; `address` is ATYP, address and port."""
        raise NotImplementedError

    @property
    def fault(self) -> UdpFault | None:
        """What is wrong by now."""
        return self.script.fault if self._seen > self.script.after else None

    def arrived(self) -> None:
        """A datagram came from the client, whether it can be passed on or not."""
        self._seen += 1
        self._used()

    def pass_on(self, address: bytes, payload: bytes) -> None:
        """Send what came from the client, as the script has it; `address` is ATYP, address and port."""
        target, _ = parse_address(address)
        self._counts.datagrams += 1
        self.received.append((target, payload))
        fault = self.fault
        if fault is UdpFault.CONTROL_CLOSED:
            self.control_lost.set()
            return
        found = self._resolve(target)
        if fault is UdpFault.RELAY_DEAD or (fault is UdpFault.POISON and _is_poison(found, payload)):
            self.close()
            return
        self._asked[found] = address
        self._send(found, payload)

    def _send(self, target: Address, payload: bytes) -> None:
        """Names that lead nowhere are passed over: no test asks a name server for them."""
        ip = _literal(target[0])
        passing = self._within_limits(payload)
        if ip is not None and passing is not None:
            with contextlib.suppress(OSError):
                self._exit(ip.version).sendto(passing, target)

    def _exit(self, version: int) -> socket.socket:
        """The socket that targets of that IP version see."""
        if version not in self._exits:
            sock = self._exits[version] = bound_socket("127.0.0.1" if version == 4 else "::1")
            self._loop.add_reader(sock, self._from_target, sock)
        return self._exits[version]

    def _from_target(self, sock: socket.socket) -> None:
        try:
            data, source = sock.recvfrom(LARGEST)
        except OSError:  # ICMP of what was sent before
            return
        if self.script.delay:
            self.late += 1
            self._loop.call_later(self.script.delay, self._answer_late, source[:2], data)
        else:
            self._answer(source[:2], data)

    def _answer_late(self, source: Address, data: bytes) -> None:
        self.late -= 1
        self._answer(source, data)

    def _answer(self, source: Address, data: bytes) -> None:
        payload = self._within_limits(data)
        if payload is not None and self.fault is not UdpFault.DROP and not self.closed:
            self.deliver(self._name_of(source), payload)
        self.answered += 1

    def _name_of(self, source: Address) -> bytes:
        """What the header of a datagram from `source` names."""
        if self.script.header_address is not None:
            return self.script.header_address
        if self.script.named is Named.CLIENT:
            return address_octets(*self.client_address())
        true = address_octets(*source)
        return self._asked.get(source, true) if self.script.named is Named.REQUEST else true

    def _within_limits(self, payload: bytes) -> bytes | None:
        """What passes of a payload; None where it is lost."""
        if self.script.lost_above is not None and len(payload) > self.script.lost_above:
            return None
        return payload[: self.script.cut_above]

    def _used(self) -> None:
        """Put the end of an idle one off."""
        if self._idle is not None:
            self._idle.cancel()
        if self.script.idle is not None:
            self._idle = self._loop.call_later(self.script.idle, self.control_lost.set)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_poison(target: Address, payload: bytes) -> bool:
    """Whether some real relay dies of it."""
    ip = _literal(target[0])
    return ip is None or not target[1] or not payload or ip.is_multicast or str(ip) == "255.255.255.255"
