"""Local UDP programs in numbers: each payload says whose it is, so that none can be misdelivered unnoticed.

with Programs([forward.address] * 200, [echo] * 200) as programs:
    programs.exchange(rounds=3)                          # in a test that blocks
    await exchanged(programs, rounds=3)                  # in one that is async
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from fakes.engine import until
from fakes.flows import FakeReceiver
from fakes.socks5_wire import Address
from fakes.udp_echoes import naming
from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.net.udp_flow import Flow

URGE_S = 0.5
"""Who has waited so long for an answer asks again."""

SPRAYED_FROM = "127.9.9.9"


class Talkers:
    """Flows, each with its remote; `size` is the least length of a payload."""

    def __init__(self, remotes: Sequence[Address], *, size: int = 0) -> None:
        self.remotes = list(remotes)
        self.turn = 0
        self.own = 0
        """Answers that came to who had asked."""
        self.misdelivered: list[tuple[int, bytes]] = []
        """Which flow got what it never sent."""
        self.repeated = 0
        """Answers that came again."""
        self.attempts = 0
        self._size = size
        self._sent: list[set[bytes]] = [set() for _ in remotes]
        self._heard: list[set[bytes]] = [set() for _ in remotes]
        self._answered = [0] * len(remotes)
        """The turn of each flow's latest answer."""
        self._urge_at = 0.0

    def transmit(self, flow: int, payload: bytes) -> None:
        """Send `payload` to the remote of `flow`."""
        raise NotImplementedError

    def collect(self) -> None:
        """Take what has come, by `hear`."""
        raise NotImplementedError

    def talk(self) -> None:
        """Each flow sends something new."""
        self.turn += 1
        self._urge_at = time.monotonic() + URGE_S
        for flow in range(len(self.remotes)):
            self._send(flow)

    def hear(self, flow: int, payload: bytes) -> None:
        """Something came for `flow`."""
        if payload not in self._sent[flow]:
            self.misdelivered.append((flow, payload))
        elif payload in self._heard[flow]:
            self.repeated += 1
        else:
            self._heard[flow].add(payload)
            self.own += 1
            self._answered[flow] = self.turn

    @property
    def waiting(self) -> list[int]:
        """The flows that have had no answer in this turn."""
        return [flow for flow, turn in enumerate(self._answered) if turn < self.turn]

    def settled(self, *, urging: bool = True) -> bool:
        """Whether every flow has had an answer in this turn; those that wait for long ask again."""
        self.collect()
        waiting = self.waiting
        if waiting and urging and time.monotonic() >= self._urge_at:
            self._urge_at = time.monotonic() + URGE_S
            for flow in waiting:
                self._send(flow)
        return not waiting

    def exchange(self, rounds: int = 1, *, seconds: float = 10.0) -> None:
        """In each round every flow talks and has its own answer within `seconds`, and none has another's."""
        for _ in range(rounds):
            self.talk()
            wait_until(self.settled, seconds=seconds, what="every flow has its answer")
            self.check()

    def lose_nothing(self, *, seconds: float = 10.0) -> None:
        """Return when all that was ever sent has its answer, what was sent to ask again too."""

        def all_heard() -> bool:
            self.collect()
            return self.own == self.attempts

        wait_until(all_heard, seconds=seconds, what="everything was answered")
        self.check()

    def check(self) -> None:
        """Fail where a flow got what was not its own."""
        assert not self.misdelivered, f"misdelivered: {self.misdelivered[:5]}"

    def _send(self, flow: int) -> None:
        self.attempts += 1
        payload = naming(flow, self.remotes[flow], self.turn, self.attempts).ljust(self._size, b".")
        self._sent[flow].add(payload)
        self.transmit(flow, payload)


async def exchanged(talkers: Talkers, rounds: int = 1, *, seconds: float = 10.0) -> None:
    """As `Talkers.exchange`."""
    for _ in range(rounds):
        talkers.talk()
        await until(talkers.settled, "every flow has its answer", seconds=seconds)
        talkers.check()


class Programs(Talkers):
    """Sockets of local programs, one for each of `forwards`, by which it reaches its remote."""

    def __init__(self, forwards: Sequence[Address], remotes: Sequence[Address], *, size: int = 0) -> None:
        super().__init__(remotes, size=size)
        self._stack = contextlib.ExitStack()
        self.sockets = [self._connected(forward) for forward in forwards]
        self.refused = 0
        """How often a program was told that nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def transmit(self, flow: int, payload: bytes) -> None:
        try:
            self.sockets[flow].send(payload)
        except ConnectionRefusedError:
            self.refused += 1

    def collect(self) -> None:
        for flow, sock in enumerate(self.sockets):
            with contextlib.suppress(BlockingIOError):
                while True:
                    try:
                        self.hear(flow, sock.recv(65_535))
                    except ConnectionRefusedError:
                        self.refused += 1

    def _connected(self, forward: Address) -> socket.socket:
        sock = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.connect(forward)
        return sock


Open = Callable[[Endpoint, Any, float], Flow]
"""A broker's, a server's or a route's."""


class Flows(Talkers):
    """Flows that are opened by `open_flow`; one that was lost is opened again when there is what to send."""

    def __init__(self, open_flow: Open, remotes: Sequence[Address], *, idle: float = 60.0) -> None:
        super().__init__(remotes)
        self.receivers: list[FakeReceiver] = [FakeReceiver() for _ in remotes]
        """Of the flows as they were opened last."""
        self.losses = 0
        self._open = open_flow
        self._idle = idle
        self._flows: list[Flow | None] = [None] * len(self.receivers)

    def transmit(self, flow: int, payload: bytes) -> None:
        """Raises ServerError where there is no flow to be had."""
        opened = self._flows[flow]
        if opened is None or self.receivers[flow].losses:
            opened = self._reopened(flow)
        opened.touch()
        opened.send_payload(payload)

    def collect(self) -> None:
        for flow, receiver in enumerate(self.receivers):
            payloads, receiver.payloads = receiver.payloads, []
            for payload in payloads:
                self.hear(flow, payload)

    def close(self) -> None:
        """Close those that were not lost."""
        for flow, receiver in zip(self._flows, self.receivers, strict=True):
            if flow is not None and not receiver.losses:
                flow.close()

    def _reopened(self, flow: int) -> Flow:
        self.losses += len(self.receivers[flow].losses)
        self.receivers[flow] = FakeReceiver()
        opened = self._open(Endpoint(*self.remotes[flow]), self.receivers[flow], self._idle)
        self._flows[flow] = opened
        return opened


def spray(
    forward: Address, ports: Iterable[int], payload: bytes = b"spray", *, source: str = SPRAYED_FROM
) -> None:
    """One datagram from each of `ports` that is free, of `source`, an address that no other test uses."""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((source, port))
            except OSError:  # another one of the same address: a late answer is not to reach another test
                sock.bind((source, 0))
            sock.sendto(payload, forward)
