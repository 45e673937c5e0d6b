import random
import socket
from collections.abc import Callable, Iterator

import pytest

from fakes.engine import FakeClock, Told, turns, until, way_to
from fakes.flows import FakeReceiver
from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.errors import CredentialsError, ServerError
from sockslocal.net import broker as module
from sockslocal.net.association import BRIEF_S
from sockslocal.net.broker import Broker
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.flows import ACTIVE_S
from sockslocal.net.udp_flow import Flow
from sockslocal.net.way import Way
from sockslocal.socks5.messages import Request


@pytest.fixture(autouse=True)
def _sweep_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle flows are looked for more often, to have the tests wait less; and nothing is left to chance."""
    monkeypatch.setattr(module, "SWEEP_S", 0.01)
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server without login."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def echo() -> Iterator[Endpoint]:
    """A target that sends everything back."""
    with udp_echo() as address:
        yield Endpoint(*address)


class Made:
    """A broker with all around it."""

    def __init__(self, engine: Engine, way: Way) -> None:
        self.dials = 0
        self.noted = Told()

        def make_dial(
            request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
        ) -> Dial:
            self.dials += 1
            return Dial(engine, way, request, done, failed)

        self.broker = Broker(engine, way, make_dial, self.noted, None)

    def open(self, remote: Endpoint, idle_s: float = 60.0) -> tuple[Flow, FakeReceiver]:
        """A flow and its receiver; raises ServerError."""
        receiver = FakeReceiver()
        return self.broker.open(remote, receiver, idle_s), receiver

    def refusal(self, remote: Endpoint) -> str:
        """The code of the problem for which there is no flow now."""
        with pytest.raises(ServerError) as caught:
            self.open(remote)
        return caught.value.problem.code

    async def closed(self) -> None:
        """Close, and see that nothing is left."""
        self.broker.close()
        await turns()
        assert (self.broker.flows, self.broker.associations) == (0, 0)
        await until(lambda: not self.broker._sweeping, "the sweep has ended")


async def test_each_flow_has_an_association_of_its_own(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """What comes for one is not heard by the other; both are counted while they live."""
    made = Made(engine, way_to(server.address))
    flows = [made.open(echo) for _ in range(2)]
    assert (made.broker.flows, made.broker.associations) == (2, 2)
    for number, (flow, _) in enumerate(flows):
        flow.send_payload(bytes([number]))
    await until(lambda: all(receiver.payloads for _, receiver in flows), "the echoes")
    assert [receiver.payloads for _, receiver in flows] == [[b"\0"], [b"\1"]]
    assert made.noted.calls == [None, None]
    flows[0][0].close()
    assert (made.broker.flows, made.broker.associations) == (1, 1)
    await made.closed()
    assert [receiver.losses for _, receiver in flows] == [[], [None]]


async def test_idle_flows_end(engine: Engine, server: FakeServer, echo: Endpoint, clock: FakeClock) -> None:
    """Each by its own idle time, counted from its last use; their receivers hear of it without an error."""
    made = Made(engine, way_to(server.address))
    short, long, used = (made.open(echo, idle_s) for idle_s in (5.0, 60.0, 5.0))
    await until(lambda: len(made.noted.calls) == 3, "all open")
    clock.advance(4.9)
    await turns(20)
    assert made.broker.flows == 3
    used[0].touch()
    clock.advance(0.1)
    await until(lambda: short[1].losses, "the idle one ended")
    assert short[1].losses == [None]
    await turns(20)
    assert (made.broker.flows, made.broker.associations) == (2, 2)
    clock.advance(5.0)
    await until(lambda: used[1].losses, "the used one too")
    assert long[1].losses == []
    short[0].touch()
    assert made.broker.flows == 1
    await made.closed()


async def test_no_more_than_so_many(
    engine: Engine, server: FakeServer, echo: Endpoint, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Flows in use are never evicted, however many new ones come; of the others the one idle longest."""
    monkeypatch.setattr(module, "MAX_ASSOCIATIONS", 3)

    made = Made(engine, way_to(server.address))
    flows = [made.open(echo, idle_s=3600.0) for _ in range(3)]
    for _ in range(100):
        assert made.refusal(echo) == "udp-flows-exhausted"
    clock.advance(ACTIVE_S)
    flows[0][0].touch()
    flows.append(made.open(echo, idle_s=3600.0))
    assert [receiver.losses for _, receiver in flows] == [[], [None], [], []]
    assert (made.broker.flows, made.broker.associations) == (3, 3)
    assert made.dials == 4
    await made.closed()


@pytest.mark.parametrize("descriptors", [64])
async def test_descriptors_bound_it_too(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """A process with few descriptors keeps most of them for connections."""
    made = Made(engine, way_to(server.address))
    for _ in range(8):
        made.open(echo)
    assert made.refusal(echo) == "udp-flows-exhausted"
    await made.closed()


async def test_a_server_without_udp_is_asked_ever_less_often(
    engine: Engine, server: FakeServer, echo: Endpoint, clock: FakeClock
) -> None:
    """At most once a second, doubling up to a minute; in between the reason is told without asking."""
    server.script = Script(reply=7)

    made = Made(engine, way_to(server.address))
    pauses = []
    for attempt in range(1, 9):
        _, receiver = made.open(echo)
        await until(lambda receiver=receiver: receiver.losses, "refused")  # type: ignore[misc]
        assert receiver.lost_by == "udp-unsupported"
        assert made.dials == attempt
        before = clock.now
        while made.broker._retry_at > clock.now:
            assert made.refusal(echo) == "udp-unsupported"
            clock.advance(0.5)
        pauses.append(clock.now - before)
        assert made.dials == attempt
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [error.problem.code for error in made.noted.calls] == ["udp-unsupported"] * 8
    server.script = Script()
    flow, receiver = made.open(echo)
    flow.send_payload(b"ping")
    await until(lambda: receiver.payloads, "the echo")
    assert made.noted.last is None
    await made.closed()


async def test_flows_that_fail_together_count_once(
    engine: Engine, server: FakeServer, echo: Endpoint, clock: FakeClock
) -> None:
    """A burst of local programs does not make the next pause a long one."""
    server.script = Script(reply=7)

    made = Made(engine, way_to(server.address))
    flows = [made.open(echo) for _ in range(10)]
    await until(lambda: all(receiver.losses for _, receiver in flows), "all refused")
    clock.advance(1.0)
    made.open(echo)
    await made.closed()


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
async def test_a_server_that_closes_at_once_is_not_stormed(
    engine: Engine, server: FakeServer, echo: Endpoint, act: Act, clock: FakeClock
) -> None:
    """It is asked ever less often too, although each time it makes an association first."""
    server.script = Script(at=Stage.RELAY, act=act)

    made = Made(engine, way_to(server.address))
    pauses = []
    for _ in range(4):
        _, receiver = made.open(echo)
        await until(lambda receiver=receiver: receiver.losses, "closed")  # type: ignore[misc]
        await turns(20)
        assert made.refusal(echo) == "udp-unsupported"
        pauses.append(made.broker._retry_at - clock.now)
        clock.advance(pauses[-1])
    assert pauses == [1, 2, 4, 8]
    await made.closed()


@pytest.mark.parametrize("proof", ["a datagram", "time"])
async def test_an_association_that_works_ends_the_caution(
    engine: Engine, server: FakeServer, echo: Endpoint, proof: str, clock: FakeClock
) -> None:
    """A datagram that comes back shows it, or that the server keeps it; then the pauses begin anew."""
    made = Made(engine, way_to(server.address))
    server.script = Script(reply=7)
    for pause in (1.0, 2.0):
        _, receiver = made.open(echo)
        await until(lambda receiver=receiver: receiver.losses, "refused")  # type: ignore[misc]
        clock.advance(pause)
    server.script = Script()
    flow, receiver = made.open(echo)
    await until(lambda: receiver.openings, "open")
    if proof == "time":
        await turns(20)
        assert made.broker._trouble is not None
        clock.advance(BRIEF_S)
    else:
        flow.send_payload(b"ping")
    await until(lambda: made.broker._trouble is None, "proved")
    server.script = Script(reply=7)
    _, failed = made.open(echo)
    await until(lambda: failed.losses, "refused")
    assert made.broker._retry_at - clock.now == 1.0
    await made.closed()


async def test_a_server_that_is_down_may_return_at_any_moment(
    engine: Engine, echo: Endpoint, clock: FakeClock
) -> None:
    """Its UDP is not to blame: nothing is noted about it, and it is tried once a second."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        made = Made(engine, way_to(unused.getsockname()))
        for _ in range(5):
            _, receiver = made.open(echo)
            await until(lambda receiver=receiver: receiver.losses, "refused")  # type: ignore[misc]
            assert receiver.lost_by == "server-unreachable"
            assert made.refusal(echo) == "server-unreachable"
            assert made.broker._retry_at - clock.now == 1.0
            clock.advance(1.0)
        assert made.noted.calls == []
        await made.closed()


async def test_a_dial_that_fails_at_once_leaves_no_flow_behind(engine: Engine, echo: Endpoint) -> None:
    """Who asked is told by the exception, and by it alone."""
    locked = CredentialsError.of("needs-unlock", server="office", reason="is locked")

    made = Made(engine, way_to(("127.0.0.1", 1), locked))
    receiver = FakeReceiver()
    with pytest.raises(ServerError) as caught:
        made.broker.open(echo, receiver, 60.0)
    assert caught.value.problem == locked.problem
    assert receiver.losses == []
    assert (made.broker.flows, made.broker.associations) == (0, 0)


async def test_our_own_exhaustion_says_nothing_of_the_servers_udp(
    engine: Engine, server: FakeServer, echo: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to the flow, and not noted."""

    def no_socket(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sockslocal.net.association.relay_socket", no_socket)

    made = Made(engine, way_to(server.address))
    _, receiver = made.open(echo)
    await until(lambda: receiver.losses, "failed")
    assert receiver.lost_by == "descriptors-exhausted"
    assert made.noted.calls == []
    await made.closed()
