"""The UDP side of the fake SOCKS5 server: one relay an association."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from fakes.socks5_script import UdpFault, UdpScript
from fakes.socks5_wire import Address, address_octets, parse_address

LARGEST = 65_535


def bound_socket(host: str) -> socket.socket:
    """A UDP socket on a free port of `host`, for use with a loop."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, 0))
    return sock


class Relay:
    """Passes datagrams between one client and any IPv4 target, as its script lets it."""

    def __init__(self, host: str, script: UdpScript, resolve: Callable[[Address], Address]) -> None:
        self.script = script
        self.client: Address | None = None
        self.received: list[tuple[Address, bytes]] = []
        """Target and payload of each datagram the client sent."""
        self.malformed: list[bytes] = []
        self.answered = 0
        """How many datagrams of targets were dealt with as the script has it."""
        self.control_lost = asyncio.Event()
        """Set when the script wants the control connection closed."""
        self._resolve = resolve
        self._client_side = bound_socket(host)
        self._target_side = bound_socket("127.0.0.1")
        self._elsewhere = bound_socket("127.0.0.3" if script.fault is UdpFault.OTHER_ADDRESS else host)
        self.address: Address = self._client_side.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._client_side, self._from_client)
        self._loop.add_reader(self._target_side, self._from_target)

    def close(self) -> None:
        """Stop relaying; twice does no harm."""
        if self._client_side.fileno() < 0:
            return
        for sock in (self._client_side, self._target_side):
            self._loop.remove_reader(sock)
        for sock in (self._client_side, self._target_side, self._elsewhere):
            sock.close()

    def send_to_client(self, datagram: bytes, *, from_elsewhere: bool = False) -> None:
        """Any octets to the client, from the relay's own port or from another one."""
        if self.client is None:
            raise ValueError("no client has sent anything yet")
        sock = self._elsewhere if from_elsewhere else self._client_side
        with contextlib.suppress(OSError):
            sock.sendto(datagram, self.client)

    def _from_client(self) -> None:
        datagram, self.client = self._client_side.recvfrom(LARGEST)
        if self.script.fault is UdpFault.CONTROL_CLOSED:
            self.control_lost.set()
            return
        try:
            target, length = parse_address(datagram[3:])
        except (ValueError, KeyError):
            self.malformed.append(datagram)
            return
        payload = datagram[3 + length :]
        self.received.append((target, payload))
        if self.script.fault is UdpFault.RELAY_DEAD:
            self.close()
            return
        with contextlib.suppress(OSError):
            self._target_side.sendto(payload, self._resolve(target))

    def _from_target(self) -> None:
        payload, source = self._target_side.recvfrom(LARGEST)
        script = self.script
        address = script.header_address or address_octets(*source[:2])
        datagram = script.reserved + bytes([script.fragment]) + address + payload
        if script.fault is UdpFault.TRUNCATED:
            datagram = datagram[:5]
        if script.fault is not UdpFault.DROP:
            self.send_to_client(
                datagram, from_elsewhere=script.fault in {UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS}
            )
        self.answered += 1
