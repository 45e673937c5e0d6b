"""A UDP flow: the datagrams between one local program and one remote, whatever association carries them."""

from typing import Protocol

from sockslocal.address import Endpoint, ip_of
from sockslocal.errors import ServerError
from sockslocal.net.datagrams import Batch
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError


class Receiver(Protocol):
    """Who a flow belongs to."""

    def opened(self) -> None:
        """Datagrams can pass, as far as the server says."""

    def sent(self, octets: int) -> None:
        """Payloads of so many octets together went to the relay."""

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        """Datagrams came, with payloads behind `skip` octets; the batch is good only during the call."""

    def dropped(self, count: int) -> None:
        """So many datagrams came that are not this flow's, or nobody's; or waited, and could not go."""

    def lost(self, error: ServerError | None) -> None:
        """The flow is over; without an error it was idle, or its association ended, and a new one may do."""


class Keeper(Protocol):
    """Who knows which flows there are."""

    def touch(self, flow: "Flow") -> None:
        """`flow` is in use."""

    def discard(self, flow: "Flow") -> None:
        """`flow` is not used any more."""


class Carrier(Protocol):
    """What a flow's datagrams travel on."""

    def send(self, flow: "Flow", batch: Batch, indices: range) -> int:
        """As `Flow.send`."""

    def send_payload(self, flow: "Flow", payload: bytes) -> bool:
        """As `Flow.send_payload`."""

    def detach(self, flow: "Flow") -> None:
        """Carry `flow` no more."""


class Flow:
    """Ends by `close`, or when its receiver is told that it is lost."""

    __slots__ = ("_by_name", "_keeper", "carrier", "header", "idle_s", "receiver", "remote")

    def __init__(
        self, keeper: Keeper, carrier: Carrier, remote: Endpoint, receiver: Receiver, idle_s: float
    ) -> None:
        self._keeper = keeper
        self.carrier = carrier
        self.remote = remote
        self.receiver = receiver
        self.idle_s = idle_s
        self.header = encode_header(remote)
        self._by_name = ip_of(remote.host) is None

    def send(self, batch: Batch, indices: range) -> int:
        """Send payloads on; gives how many more are on their way or wait for it than before.

        The receiver hears of those that went, at once or later, by `sent`.
        """
        return self.carrier.send(self, batch, indices)

    def send_payload(self, payload: bytes) -> bool:
        """Send one payload; False where it was dropped."""
        return self.carrier.send_payload(self, payload)

    def touch(self) -> None:
        """The flow is in use: it is neither idle nor to be evicted."""
        self._keeper.touch(self)

    def close(self) -> None:
        """End the flow; its receiver hears at most of what still waited, by `dropped`."""
        self._keeper.discard(self)

    def accepted_header(self, datagram: memoryview) -> int:
        """The length of the header of a datagram from the relay, 0 where it is not this flow's.

        A name comes back as the address that the server found for it, so there only the port must be right.
        """
        if datagram[: len(self.header)] == self.header:
            return len(self.header)
        try:
            remote, length = parse_header(datagram)
        except DatagramError:
            return 0
        return length if self._by_name and remote.port == self.remote.port else 0
