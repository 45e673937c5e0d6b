from dataclasses import dataclass, field

import pytest

from fakes.flows import FakeReceiver
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.net.datagrams import Batch, PlainBatch
from sockslocal.net.udp_flow import Flow


@dataclass
class FakeSide:
    """A keeper and a carrier in one; remembers what was asked of it."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def touch(self, flow: Flow) -> None:
        self.asked.append(("touch", flow))

    def discard(self, flow: Flow) -> None:
        self.asked.append(("discard", flow))

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        self.asked.append(("send", flow, batch, indices))
        return len(indices)

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        self.asked.append(("send_payload", flow, payload))
        return bool(payload)

    def detach(self, flow: Flow) -> None:
        self.asked.append(("detach", flow))


def flow_to(remote: Endpoint) -> tuple[Flow, FakeSide, FakeSide]:
    """A flow, its keeper and its carrier."""
    keeper, carrier = FakeSide(), FakeSide()
    return Flow(keeper, carrier, remote, FakeReceiver(), 60.0), keeper, carrier


def test_who_knows_of_it_hears_of_its_use_and_its_end() -> None:
    """The keeper, which says what becomes of what carries it."""
    flow, keeper, carrier = flow_to(Endpoint("192.0.2.1", 53))
    flow.touch()
    flow.close()
    assert (keeper.asked, carrier.asked) == ([("touch", flow), ("discard", flow)], [])


def test_datagrams_go_by_what_carries_it() -> None:
    """Now by one, then maybe by another."""
    flow, keeper, first = flow_to(Endpoint("192.0.2.1", 53))
    batch = PlainBatch()
    assert flow.send(batch, range(3)) == 3
    assert flow.send_payload(b"ping")
    assert first.asked == [("send", flow, batch, range(3)), ("send_payload", flow, b"ping")]
    flow.carrier = other = FakeSide()
    assert not flow.send_payload(b"")
    assert other.asked == [("send_payload", flow, b"")]
    assert (len(first.asked), keeper.asked) == (2, [])


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_answered_by_itself(host: str) -> None:
    """By its port, and by no other; and no name is it."""
    flow, _, _ = flow_to(Endpoint(host, 53))
    header = b"\0\0\0" + address_octets(host, 53)
    assert flow.header == header
    assert flow.accepted_header(memoryview(header)) == len(header)
    assert flow.accepted_header(memoryview(header + b"pong")) == len(header)
    for other in (("192.0.2.9", 53), ("2001:db8::9", 53), (host, 54), ("dns.test", 53)):
        assert flow.accepted_header(memoryview(b"\0\0\0" + address_octets(*other) + b"pong")) == 0


def test_a_name_is_answered_by_any_address() -> None:
    """The one that the server found for it; only the port must be right."""
    flow, _, _ = flow_to(Endpoint("dns.test", 53))
    for host in ("dns.test", "192.0.2.9", "2001:db8::9", "alias.test"):
        header = b"\0\0\0" + address_octets(host, 53)
        assert flow.accepted_header(memoryview(header + b"pong")) == len(header)
        assert flow.accepted_header(memoryview(b"\0\0\0" + address_octets(host, 54) + b"pong")) == 0


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\1\xc0\0\2\1",
        b"\0\1\0" + address_octets("192.0.2.1", 53) + b"RSV",
        b"\0\0\1" + address_octets("192.0.2.1", 53) + b"FRAG",
        b"\0\0\0\7\0\0\0\0\0\0 ATYP",
    ],
)
@pytest.mark.parametrize("host", ["192.0.2.1", "dns.test"])
def test_what_has_no_header_is_nobodys(host: str, datagram: bytes) -> None:
    """Cut off, fragmented, or of an unknown kind (RFC 1928 §7)."""
    flow, _, _ = flow_to(Endpoint(host, 53))
    assert flow.accepted_header(memoryview(datagram)) == 0
