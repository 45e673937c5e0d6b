"""One association with all around it: who made it, who keeps its flows, and who they belong to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from fakes.engine import turns, until, way_to
from fakes.flows import FakeReceiver
from fakes.socks5_relay import Relay
from fakes.socks5_server import FakeServer
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.association import Association
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_flow import Carrier, Flow
from sockslocal.net.udp_terms import Terms
from sockslocal.socks5.messages import Request

WAITING = 16
"""Datagrams that wait for an association to open, at most."""

PROBED = Endpoint("127.0.0.1", 9)
"""Nobody answers there."""

REMOTE, OTHER = Endpoint("127.0.0.1", 7), Endpoint("127.0.0.1", 8)
"""Nobody is there."""


@dataclass
class FakeOwner:
    """Who made the association, and who keeps its flows."""

    lenient: bool = False
    told: list[Any] = field(default_factory=list)
    """What it was told, beside what has a list of its own."""
    endings: list[ServerError | None] = field(default_factory=list)
    silences: list[bool] = field(default_factory=list)
    when_opened: Callable[[], None] = lambda: None

    def opened(self, association: Association) -> None:
        self.told.append("opened")
        self.when_opened()

    def proved(self, association: Association) -> None:
        self.told.append("proved")

    def silent(self, association: Association, *, probed: bool) -> None:
        self.silences.append(probed)

    def answered(self) -> None:
        self.told.append("answered")

    def named(self) -> None:
        self.told.append("named")

    def misnames(self) -> bool:
        self.told.append("misnames")
        return False

    def brief(self) -> None:
        self.told.append("brief")

    def unfit(self) -> None:
        self.told.append("unfit")

    def ended(self, association: Association, error: ServerError | None) -> None:
        self.endings.append(error)

    def touch(self, flow: Flow) -> None:
        """Nobody evicts flows here."""

    def move(self, flow: Flow) -> Carrier | None:
        """There is no other carrier."""
        return None

    def discard(self, flow: Flow) -> None:
        if flow.carrier is not None:
            flow.carrier.detach(flow)


class Made:
    """The association; its flows' receivers are theirs."""

    def __init__(
        self,
        engine: Engine,
        address: tuple[str, int],
        rung: Rung = Rung.GIVEN,
        *,
        exclusive: bool = False,
        trial: bool = False,
        probe: Endpoint | None = PROBED,
    ) -> None:
        self.owner = FakeOwner()
        self._engine = engine
        self._way = way_to(address)
        self.terms = Terms(
            engine=engine, way=self._way, override=None, flows=10, waiting=WAITING, patience=1.0, probe=probe
        )
        self.association = Association(self.terms, rung, self.owner, exclusive=exclusive, trial=trial)

    def start(self) -> None:
        self.association.start(self._dial)

    async def open(self) -> None:
        """Start, and wait until datagrams can pass."""
        self.start()
        await until(lambda: self.association.is_open, "open")

    def carry(self, remote: Endpoint) -> tuple[Flow, FakeReceiver]:
        """A flow on it, and its receiver."""
        receiver = FakeReceiver()
        flow = Flow(self.owner, remote, receiver, 60.0, exclusive=self.association.exclusive)
        assert self.association.takes(flow)
        self.association.attach(flow)
        return flow, receiver

    async def end(self) -> str | None:
        """Wait for the end, which is told once; gives the code of its problem, if there is one."""
        await until(lambda: self.owner.endings, "the end")
        await turns()
        (error,) = self.owner.endings
        assert self.association.ended
        return error.problem.code if error else None

    def close(self) -> None:
        self.association.end(None)

    def _dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        return Dial(self._engine, self._way, request, done, failed)


Make = Callable[..., Made]


@contextmanager
def making(engine: Engine, server: FakeServer) -> Iterator[Make]:
    """What makes associations, by default with `server`; they are closed at the end."""
    with ExitStack() as stack:

        def make(rung: Rung = Rung.GIVEN, *, address: tuple[str, int] = server.address, **more: Any) -> Made:
            made = Made(engine, address, rung, **more)
            stack.callback(made.close)
            return made

        yield make


def relay_of(server: FakeServer) -> Relay:
    """The server's side of the only association."""
    (session,) = server.sessions
    assert session.relay is not None
    return session.relay


async def echoed(flow: Flow, receiver: FakeReceiver, payload: bytes = b"ping") -> None:
    """See that `payload` comes back to `flow`, and only that."""
    before = len(receiver.payloads)
    assert flow.send_payload(payload)
    await until(lambda: len(receiver.payloads) > before, "the echo")
    assert receiver.payloads[before:] == [payload]
