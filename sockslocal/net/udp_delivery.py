"""Whose the datagrams are that come on an association: they name only the remote (RFC 1928 §7)."""

from collections.abc import Callable
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.net.datagrams import Batch
from sockslocal.net.liveness import Liveness
from sockslocal.net.slots import Slots
from sockslocal.net.udp_flow import Flow
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError
from sockslocal.socks5.messages import AddressType, address_end

_ADDRESS = 3
"""Where the address field begins in a datagram's header."""

_DOMAIN_NAME = int(AddressType.DOMAIN_NAME)


class Side(Protocol):
    """The association."""

    exclusive: bool

    @property
    def ended(self) -> bool:
        """Whether nothing is to be delivered any more."""

    def came(self) -> bool:
        """A datagram of the server came; gives whether that shows that the way works."""


class Knowing(Protocol):
    """Who remembers what datagrams tell of the server."""

    def answered(self) -> None:
        """A probe was answered."""

    def named(self) -> None:
        """A datagram names the remote that it comes from."""

    def misnames(self) -> bool:
        """A datagram names a remote that no flow has; gives whether it is for the only one all the same."""


class Delivery:
    """Hands each datagram to its flow, and to nobody where that is not sure."""

    __slots__ = ("_clock", "_knowing", "_liveness", "_named", "_side", "_slots")

    def __init__(
        self,
        side: Side,
        knowing: Knowing,
        slots: Slots[Flow],
        liveness: Liveness,
        clock: Callable[[], float],
    ) -> None:
        self._side = side
        self._knowing = knowing
        self._slots = slots
        self._liveness = liveness
        self._clock = clock
        self._named = False

    def deliver(self, batch: Batch, count: int) -> None:
        """Hand each run of datagrams with one header to its flow."""
        start = 0
        while start < count and not self._side.ended:
            datagram = batch.payload(start)
            header, flow = self._read(datagram)
            stop = start + 1
            known = flow is not None
            if not header:
                self._drop(1)
            elif self._liveness.is_answer(header, datagram[len(header) :], known=known):
                self._note_answer(header)
            else:
                alone = not known or self._liveness.probing or header == self._liveness.asked
                while not alone and stop < count and batch.payload(stop)[: len(header)] == header:
                    stop += 1
                self._pass_on(header, flow, batch, range(start, stop))
            start = stop

    def _read(self, datagram: memoryview) -> tuple[bytes, Flow | None]:
        """The header of `datagram`, empty where it has none, and the flow that has just this one."""
        if len(datagram) > _ADDRESS + 1:
            header = bytes(datagram[: address_end(datagram, _ADDRESS) or 0])
            if flow := self._slots.find(header):
                return header, flow
        try:
            return bytes(datagram[: parse_header(datagram)[1]]), None
        except DatagramError:
            return b"", None

    def _note_answer(self, header: bytes) -> None:
        if header == self._liveness.asked:
            self._note_named()
        elif self._liveness.asked[_ADDRESS] != _DOMAIN_NAME:
            self._knowing.misnames()
        self._side.came()
        self._knowing.answered()

    def _note_named(self) -> None:
        if not self._named:
            self._named = True
            self._knowing.named()

    def _pass_on(self, header: bytes, flow: Flow | None, batch: Batch, indices: range) -> None:
        if flow is not None:
            self._note_named()
        else:
            flow = self._meant_by(parse_header(header)[0])
        if flow is None:
            self._drop(len(indices))
        else:
            flow.answered = True
            flow.receiver.received(batch, indices, len(header))
        # Only now, for what it proves may move the flow, and what it teaches may have to be sent again.
        if self._side.came() and flow is not None:
            self._liveness.heard()

    def _meant_by(self, source: Endpoint) -> Flow | None:
        """The flow to which a datagram belongs that names `source` in a way of the server's own."""
        slots = self._slots
        if source.host:
            flow = slots.find(encode_header(source)) or slots.learn(source)
            if flow is not None:
                return flow
        sole = slots.sole(self._clock())
        return sole if sole is not None and (self._side.exclusive or self._knowing.misnames()) else None

    def _drop(self, count: int) -> None:
        """Nobody's datagrams came; they are counted where they do the least harm to the figures."""
        for flow in self._slots:
            flow.receiver.dropped(count)
            break
