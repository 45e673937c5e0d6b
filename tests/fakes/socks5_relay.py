"""The UDP side of the fake SOCKS5 server: one relay an association (RFC 1928 §7)."""

import contextlib
from collections.abc import Callable

from fakes.socks5_counts import Counts
from fakes.socks5_passage import LARGEST, Passage, bound_socket
from fakes.socks5_script import PortRule, UdpFault, UdpScript
from fakes.socks5_wire import Address, parse_address

OTHER_HOST = "127.0.0.3"

UNSUPPORTED_ADDRESS, NOT_REACHABLE = 8, 4


def objection(asked: Address, client: Address) -> int:
    """The REP that Dante answers UDP ASSOCIATE from `client` with, where `asked` is not as it wants; or 0."""
    host = asked[0]
    if (":" in host) != (":" in client[0]):
        return UNSUPPORTED_ADDRESS
    return 0 if host in {"0.0.0.0", "::", "0", client[0]} else NOT_REACHABLE


class Relay(Passage):
    """Passes datagrams between one client, known by its first one, and any target, as its script lets it."""

    def __init__(
        self,
        host: str,
        script: UdpScript,
        resolve: Callable[[Address], Address],
        *,
        asked: int = 0,
        counts: Counts | None = None,
    ) -> None:
        counts = counts or Counts()
        super().__init__(script, resolve, counts, counts.associations)
        self.client: Address | None = None
        self.strangers = 0
        """Datagrams from others than the client."""
        self._asked_port = asked
        self._client_side = bound_socket(host)
        self._elsewhere = bound_socket(host)
        self._on_other_host = bound_socket(OTHER_HOST) if ":" not in host else self._elsewhere
        self.address: Address = self._client_side.getsockname()[:2]
        self._loop.add_reader(self._client_side, self._from_client)

    def close(self) -> None:
        if not self.closed:
            self._loop.remove_reader(self._client_side)
            for sock in (self._client_side, self._elsewhere, self._on_other_host):
                sock.close()
        super().close()

    def client_address(self) -> Address:
        if self.client is None:
            raise ValueError("no client has sent anything yet")
        return self.client

    def deliver(self, address: bytes, payload: bytes) -> None:
        script = self.script
        if self.fault is UdpFault.GARBAGE:
            address = b"\x09" + address[1:]
        datagram = script.reserved + bytes([script.fragment]) + address + payload
        if self.fault is UdpFault.TRUNCATED:
            datagram = datagram[:5]
        faults = {UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS}
        self.send_to_client(datagram, from_elsewhere=self.fault in faults)

    def send_to_client(self, datagram: bytes, *, from_elsewhere: bool = False) -> None:
        """Any octets to the client, from the relay's own port or from another one."""
        elsewhere = self._on_other_host if self.fault is UdpFault.OTHER_ADDRESS else self._elsewhere
        sock = elsewhere if from_elsewhere else self._client_side
        with contextlib.suppress(OSError):
            sock.sendto(datagram, self.client_address())

    def _from_client(self) -> None:
        try:
            datagram, source = self._client_side.recvfrom(LARGEST)
        except OSError:  # ICMP: the client has gone
            return
        if not self._is_clients(source[:2]):
            self.strangers += 1
            return
        self.arrived()
        if self._is_sound(datagram):
            address_end = 3 + parse_address(datagram[3:])[1]
            self.pass_on(datagram[3:address_end], datagram[address_end:])

    def _is_clients(self, source: Address) -> bool:
        """Whether `source` is the client; the first one is, as far as the script wants no certain port."""
        rule = self.script.port_rule
        bound = rule is PortRule.TRUE or (rule is PortRule.ZERO_OR_TRUE and self._asked_port)
        if bound and source[1] != self._asked_port:
            return False
        if self.client is None or rule is PortRule.ANY:
            self.client = source
        return source == self.client

    def _is_sound(self, datagram: bytes) -> bool:
        """Whether it can be relayed: FRAG other than 0 is dropped, and RSV means nothing (RFC 1928 §7)."""
        try:
            parse_address(datagram[3:])
            sound = not datagram[2]
        except (ValueError, KeyError):
            sound = False
        if not sound:
            self.malformed.append(datagram)
        if self.fault is UdpFault.TOUCHY and (not sound or any(datagram[:2])):
            self.control_lost.set()
            return False
        return sound
