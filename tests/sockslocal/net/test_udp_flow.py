from dataclasses import dataclass, field

import pytest

from fakes.flows import FakeReceiver
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.net.datagrams import Batch, PlainBatch
from sockslocal.net.udp_flow import Carrier, Flow

REMOTE = Endpoint("192.0.2.1", 53)


@dataclass
class FakeKeeper:
    """Remembers what was asked of it; the flow moves to `next_carrier`."""

    next_carrier: Carrier | None = None
    asked: list[tuple[str, Flow]] = field(default_factory=list)

    def touch(self, flow: Flow) -> None:
        self.asked.append(("touch", flow))

    def move(self, flow: Flow) -> Carrier | None:
        self.asked.append(("move", flow))
        return self.next_carrier

    def discard(self, flow: Flow) -> None:
        self.asked.append(("discard", flow))


@dataclass
class FakeCarrier:
    """Takes all but the empty payload."""

    retired: bool = False
    used_at: float = 0.0
    taken: list[object] = field(default_factory=list)

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        self.taken.append((flow, batch, indices))
        return len(indices)

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        self.taken.append((flow, payload))
        return bool(payload)

    def detach(self, flow: Flow) -> None:
        raise NotImplementedError


def flow_by(keeper: FakeKeeper, carrier: Carrier | None, remote: Endpoint = REMOTE) -> Flow:
    """A flow, carried or not."""
    flow = Flow(keeper, remote, FakeReceiver(), 60.0, exclusive=False)
    flow.carrier = carrier
    return flow


def test_who_knows_of_it_hears_of_its_use_and_its_end() -> None:
    """The keeper, which says what becomes of what carries it."""
    keeper = FakeKeeper()
    flow = flow_by(keeper, FakeCarrier())
    flow.touch()
    flow.close()
    assert keeper.asked == [("touch", flow), ("discard", flow)]


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "dns.test"])
def test_datagrams_go_behind_the_header_of_its_remote(host: str) -> None:
    """It is made once for all (RFC 1928 §7)."""
    flow = flow_by(FakeKeeper(), FakeCarrier(), Endpoint(host, 53))
    assert flow.header == b"\0\0\0" + address_octets(host, 53)


def test_datagrams_go_by_what_carries_it() -> None:
    """Now by one, then maybe by another; how many were taken is told."""
    keeper, carriers = FakeKeeper(), (FakeCarrier(), FakeCarrier())
    flow = flow_by(keeper, None)
    batch = PlainBatch()
    for carrier in carriers:
        flow.carrier = carrier
        assert flow.send(batch, range(3)) == 3
        assert flow.send_payload(b"ping")
        assert not flow.send_payload(b"")
        assert carrier.taken == [(flow, batch, range(3)), (flow, b"ping"), (flow, b"")]
    assert keeper.asked == []


@pytest.mark.parametrize("carrier", [None, FakeCarrier(retired=True)])
def test_without_a_carrier_that_goes_on_it_looks_for_another(carrier: Carrier | None) -> None:
    """Each time that it has something to send."""
    other = FakeCarrier()
    keeper = FakeKeeper(next_carrier=other)
    flow = flow_by(keeper, carrier)
    batch = PlainBatch()
    assert flow.send(batch, range(3)) == 3
    assert flow.send_payload(b"ping")
    assert other.taken == [(flow, batch, range(3)), (flow, b"ping")]
    assert keeper.asked == [("move", flow)] * 2


def test_a_flow_that_is_lost_sends_nothing() -> None:
    """There is no other carrier."""
    flow = flow_by(FakeKeeper(), None)
    assert flow.send(PlainBatch(), range(3)) == 0
    assert not flow.send_payload(b"ping")
