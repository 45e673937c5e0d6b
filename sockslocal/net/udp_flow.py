"""A UDP flow: the datagrams between one local program and one remote, whatever association carries them."""

from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.datagrams import Batch
from sockslocal.socks5.datagram import encode_header


class Receiver(Protocol):
    """Who a flow belongs to."""

    def opened(self) -> None:
        """Datagrams can pass, as far as the server says."""

    def sent(self, octets: int) -> None:
        """Payloads of so many octets together went to the server."""

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        """Datagrams came, with payloads behind `skip` octets; the batch is good only during the call."""

    def dropped(self, count: int) -> None:
        """So many datagrams came that are not this flow's, or nobody's; or waited, and could not go.

        It may be told after the flow was closed or lost.
        """

    def lost(self, error: ServerError | None) -> None:
        """The flow is over; without an error it was idle, or its association ended, and a new one may do."""


class Keeper(Protocol):
    """Who knows which flows there are."""

    def touch(self, flow: "Flow") -> None:
        """`flow` is in use."""

    def move(self, flow: "Flow") -> "Carrier | None":
        """Another carrier for `flow`, whose own has retired; None where the flow is lost for want of one."""

    def discard(self, flow: "Flow") -> None:
        """`flow` is not used any more."""


class Carrier(Protocol):
    """What a flow's datagrams travel on."""

    retired: bool
    """Whether a flow with more to send is to look for another one."""
    used_at: float
    """When one of its flows was last in use, in seconds of the keeper's clock."""

    def send(self, flow: "Flow", batch: Batch, indices: range) -> int:
        """As `Flow.send`."""

    def send_payload(self, flow: "Flow", payload: bytes) -> bool:
        """As `Flow.send_payload`."""

    def detach(self, flow: "Flow") -> None:
        """Carry `flow` no more."""


class Flow:
    """Ends by `close`, or when its receiver is told that it is lost.

    An `exclusive` one shares its association with no other, and hears all that comes on it.
    """

    __slots__ = (
        "_keeper",
        "answered",
        "carrier",
        "earlier",
        "exclusive",
        "header",
        "idle_s",
        "receiver",
        "remote",
    )

    def __init__(
        self, keeper: Keeper, remote: Endpoint, receiver: Receiver, idle_s: float, *, exclusive: bool
    ) -> None:
        self._keeper = keeper
        self.carrier: Carrier | None = None
        self.earlier: Carrier | None = None
        """The one before, on which answers may still come."""
        self.remote = remote
        self.receiver = receiver
        self.idle_s = idle_s
        self.exclusive = exclusive
        self.answered = False
        """Whether anything came for it."""
        self.header = encode_header(remote)

    def send(self, batch: Batch, indices: range) -> int:
        """Send payloads on; gives how many are on their way, or wait for it.

        The receiver hears of those that went, at once or later, by `sent`, and by `dropped` of those that
        waited in vain. It may hear that the flow is lost.
        """
        carrier = self.carrier
        if carrier is None or carrier.retired:
            carrier = self._keeper.move(self)
        return carrier.send(self, batch, indices) if carrier else 0

    def send_payload(self, payload: bytes) -> bool:
        """Send one payload; False where it was dropped."""
        carrier = self.carrier
        if carrier is None or carrier.retired:
            carrier = self._keeper.move(self)
        return carrier.send_payload(self, payload) if carrier else False

    def touch(self) -> None:
        """The flow is in use: it is neither idle nor to be evicted."""
        self._keeper.touch(self)

    def close(self) -> None:
        """End the flow; its receiver hears at most of what still waited, by `dropped`."""
        self._keeper.discard(self)
