from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from fakes.engine import FakeClock
from fakes.flows import FakeReceiver
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.net.datagrams import SLOTS, Batch, PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.liveness import Liveness
from sockslocal.net.slots import QUARANTINE_S, Slots
from sockslocal.net.udp_delivery import Delivery
from sockslocal.net.udp_flow import Carrier, Flow

ONE, TWO, OTHER = (Endpoint(f"192.0.2.{number}", 7) for number in (1, 2, 3))
NAME, OTHER_NAME = Endpoint("one.test", 7), Endpoint("two.test", 7)
PROBED = Endpoint("192.0.2.53", 53)

pytestmark = pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])


@dataclass
class Made:
    """A delivery with all around it: association, owner, keeper of the flows."""

    engine: Engine
    exclusive: bool = False
    ended: bool = False
    works: bool = True
    misnaming: bool = False
    known: list[tuple[object, ...]] = field(default_factory=list)
    """What its owner was told."""
    probes: list[bytes] = field(default_factory=list)
    receivers: dict[Endpoint, FakeReceiver] = field(default_factory=dict)
    flows: dict[Endpoint, Flow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots: Slots[Flow] = Slots(10)
        self.liveness = Liveness(
            self.engine, 1.0, lambda _, message: self.probes.append(message), lambda _: None
        )
        self.delivery = Delivery(self, self, self.slots, self.liveness, self.engine.clock)

    def carry(self, remote: Endpoint) -> FakeReceiver:
        """The receiver of a new flow."""
        receiver = self.receivers[remote] = FakeReceiver()
        flow = self.flows[remote] = Flow(self, remote, receiver, 60.0, exclusive=self.exclusive)
        self.slots.add(flow, remote)
        return receiver

    def come(self, *datagrams: bytes) -> None:
        """These come, in one batch."""
        self.delivery.deliver(self.engine.batch, self.engine.batch.hold(datagrams))

    def answer_to_probe(self) -> bytes:
        """The payload of it."""
        return self.probes[-1][:2] + b"\x81\x80" + self.probes[-1][4:]

    # the association

    def came(self) -> bool:
        self.known.append(("came",))
        return self.works

    # its owner

    def answered(self) -> None:
        self.known.append(("answered",))

    def named(self) -> None:
        self.known.append(("named",))

    def misnames(self) -> bool:
        self.known.append(("misnames",))
        return self.misnaming

    # the keeper

    def touch(self, flow: Flow) -> None:
        raise NotImplementedError

    def move(self, flow: Flow) -> Carrier | None:
        raise NotImplementedError

    def discard(self, flow: Flow) -> None:
        self.slots.remove(flow, self.engine.clock())


@pytest.fixture
def made(engine: Engine, clock: FakeClock) -> Iterator[Made]:
    """One without flows."""
    made = Made(engine)
    yield made
    made.liveness.stop()


def datagram(source: Endpoint, payload: bytes = b"payload") -> bytes:
    """As the relay sends it."""
    return b"\0\0\0" + address_octets(*source) + payload


# exactly


def test_each_flow_is_given_its_own(made: Made) -> None:
    """By the remote that the header names; in order, the empty ones too."""
    one, two = made.carry(ONE), made.carry(TWO)
    made.come(datagram(ONE, b"1"), datagram(TWO, b"2"), datagram(ONE, b""), datagram(ONE, b"3"))
    assert (one.payloads, two.payloads) == ([b"1", b"", b"3"], [b"2"])
    assert (one.drops, two.drops) == (0, 0)


def test_those_in_a_row_are_given_together(made: Made) -> None:
    """They are sent on with one call of the system."""
    runs: list[range] = []
    made.carry(ONE).received = lambda batch, indices, skip: runs.append(indices)  # type: ignore[method-assign]
    made.carry(TWO)
    made.come(*[datagram(ONE)] * 10, datagram(TWO), *[datagram(ONE)] * (SLOTS - 11))
    assert runs == [range(10), range(11, SLOTS)]


def test_that_a_remote_was_named_is_told_once(made: Made) -> None:
    """Before that something came, which is told each time."""
    made.carry(ONE)
    made.come(datagram(ONE))
    made.come(datagram(ONE))
    assert made.known == [("named",), ("came",), ("came",)]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\1\xc0\0\2\1",
        b"\0\0\0\3",
        b"\0\0\0\3\xff",
        b"\0\1\0" + address_octets(*ONE) + b"RSV",
        b"\0\0\1" + address_octets(*ONE) + b"FRAG",
        b"\0\0\0\7\0\0\0\0\0\0 ATYP",
    ],
)
@pytest.mark.parametrize("exclusive", [False, True])
def test_what_has_no_header_is_nobodys(made: Made, octets: bytes, *, exclusive: bool) -> None:
    """It is counted, it proves nothing, and those before and after it are delivered (RFC 1928 §7)."""
    made.exclusive = exclusive
    one = made.carry(ONE)
    made.come(datagram(ONE, b"before"), octets, datagram(ONE, b"after"))
    assert (one.payloads, one.drops) == ([b"before", b"after"], 1)
    made.known.clear()
    made.come(octets)
    assert made.known == []


def test_without_flows_nothing_is_counted(made: Made) -> None:
    """There is nobody to count it."""
    made.come(b"", datagram(ONE))
    assert made.known == [("came",)]


@pytest.mark.parametrize("source", [OTHER, ONE._replace(port=8), NAME])
def test_what_is_from_another_remote_is_nobodys(made: Made, source: Endpoint) -> None:
    """It shows that the way works, but ends no silence of the flows."""
    one, two = made.carry(ONE), made.carry(TWO)
    made.liveness.sent()
    made.come(datagram(source), datagram(source))
    assert (one.payloads, two.payloads, one.drops + two.drops) == ([], [], 2)
    assert made.known == [("came",)] * 2
    assert made.liveness._unanswered_since is not None


def test_what_a_flow_is_given_ends_its_silence(made: Made) -> None:
    """Unless it comes from a server of which it is doubtful whether it goes on."""
    made.carry(ONE)
    made.liveness.sent()
    made.works = False
    made.come(datagram(ONE))
    assert made.liveness._unanswered_since is not None
    made.works = True
    made.come(datagram(ONE))
    assert made.liveness._unanswered_since is None


def test_nothing_is_delivered_after_the_end(made: Made) -> None:
    """Which may come in the midst of a batch."""
    one = made.carry(ONE)

    def end(batch: Batch, indices: range, skip: int) -> None:
        one.payloads.append(b"%d" % len(indices))
        made.ended = True

    one.received = end  # type: ignore[method-assign]
    made.come(datagram(ONE), datagram(OTHER), datagram(ONE))
    assert (one.payloads, one.drops) == ([b"1"], 0)


def test_a_receiver_may_close_its_flow(made: Made) -> None:
    """What lies behind in the same batch is nobody's then, and counted where there is another flow."""
    one, two = made.carry(ONE), made.carry(TWO)

    def close(batch: Batch, indices: range, skip: int) -> None:
        one.payloads.append(b"%d" % len(indices))
        made.flows[ONE].close()

    one.received = close  # type: ignore[method-assign]
    made.come(datagram(ONE), datagram(TWO, b"2"), datagram(ONE))
    assert (one.payloads, two.payloads, two.drops) == ([b"1"], [b"2"], 1)


def test_what_comes_is_delivered_before_it_has_consequences(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hears that something came may have the flow move elsewhere."""
    one = made.carry(ONE)

    def close() -> bool:
        made.flows[ONE].close()
        return True

    monkeypatch.setattr(made, "came", close)
    made.come(datagram(ONE), datagram(TWO))
    assert one.payloads == [b"payload"]


# names


def test_a_name_is_answered_by_an_address(made: Made) -> None:
    """Or by itself."""
    one = made.carry(NAME)
    made.come(datagram(ONE, b"1"), datagram(NAME, b"2"))
    made.come(datagram(ONE, b"3"))
    assert one.payloads == [b"1", b"2", b"3"]


def test_an_address_may_be_spelled_otherwise(made: Made) -> None:
    """IPv4 as IPv6, and a name in capitals with a dot."""
    one, name = made.carry(ONE), made.carry(NAME._replace(port=8))
    mapped = b"\0\0\0\4" + bytes(10) + b"\xff\xff\xc0\0\2\1\0\7"
    made.come(mapped + b"1", b"\0\0\0\3\x09ONE.test.\0\x08" + b"2")
    assert (one.payloads, name.payloads) == ([b"1"], [b"2"])


def test_a_name_may_wander(made: Made) -> None:
    """All that comes from its port is its own, though others talk on other ports."""
    name, probed = made.carry(NAME), made.carry(PROBED)
    made.come(datagram(OTHER), datagram(TWO), datagram(PROBED))
    assert (name.payloads, probed.payloads) == ([b"payload"] * 2, [b"payload"])


# servers that name somebody else


@pytest.mark.parametrize("source", [OTHER, NAME, Endpoint("127.0.0.1", 40_000)])
def test_an_exclusive_flow_hears_everything(made: Made, source: Endpoint) -> None:
    """Whoever is named, without a word about it."""
    made.exclusive = True
    one = made.carry(ONE)
    made.come(datagram(source))
    assert (one.payloads, made.known) == ([b"payload"], [("came",)])


@pytest.mark.parametrize("octets", [b"\0\0\0\3\0\0\7", b"\0\0\0\3\1\0\0\7", datagram(OTHER, b"")])
@pytest.mark.parametrize("misnaming", [False, True])
def test_the_only_flow_may_be_meant(made: Made, octets: bytes, *, misnaming: bool) -> None:
    """By whatever is named, an empty name too, if that is how the server is."""
    made.misnaming = misnaming
    one = made.carry(ONE)
    made.come(octets + b"payload")
    assert one.payloads == [b"payload"] * misnaming
    assert made.known == [("misnames",), ("came",)]


def test_a_late_answer_is_not_meant_for_the_only_flow(made: Made, clock: FakeClock) -> None:
    """And says nothing of the server."""
    made.misnaming = True
    made.carry(ONE)
    two = made.carry(TWO)
    made.flows[ONE].close()
    made.come(datagram(ONE))
    assert (two.payloads, made.known) == ([], [("came",)])
    clock.advance(QUARANTINE_S)
    made.come(datagram(ONE))
    assert two.payloads == [b"payload"]


# probes


@pytest.fixture
def probed(made: Made) -> Made:
    """A probe is out."""
    made.liveness.ask(PROBED)
    return made


@pytest.mark.parametrize("remote", [ONE, PROBED, Endpoint("dns.test", 53)])
def test_the_answer_to_a_probe_is_no_flows(probed: Made, remote: Endpoint) -> None:
    """Not even of one to the same remote, or to a name that might lead there; nor does it teach anything."""
    receiver = probed.carry(remote)
    probed.come(*[datagram(PROBED, probed.answer_to_probe())] * 2)
    assert (receiver.payloads, receiver.drops) == ([], 0)
    assert probed.known == [("named",), ("came",), ("answered",), ("came",), ("answered",)]


def test_flows_are_given_their_own_while_a_probe_is_out(probed: Made) -> None:
    """Also from the remote of the probe, before and behind the answer to that."""
    receiver = probed.carry(PROBED)
    probed.come(
        datagram(PROBED, b"before"), datagram(PROBED, probed.answer_to_probe()), datagram(PROBED, b"behind")
    )
    assert (receiver.payloads, receiver.drops) == ([b"before", b"behind"], 0)


@pytest.mark.parametrize("misnaming", [False, True])
def test_an_answer_to_a_probe_that_names_another(probed: Made, *, misnaming: bool) -> None:
    """It shows how the server is, before any flow's datagram may be mistaken."""
    probed.misnaming = misnaming
    one, two = probed.carry(ONE), probed.carry(TWO)
    probed.come(datagram(OTHER, probed.answer_to_probe()))
    assert (one.payloads, two.payloads, one.drops) == ([], [], 0)
    assert probed.known == [("misnames",), ("came",), ("answered",)]


def test_a_probe_to_a_name_is_answered_by_an_address(made: Made) -> None:
    """Which says nothing of how the server names others."""
    made.liveness.ask(Endpoint("dns.test", 53))
    made.come(datagram(OTHER, made.answer_to_probe()))
    assert made.known == [("came",), ("answered",)]


def test_a_late_answer_to_a_probe_from_a_server_that_misnames(probed: Made) -> None:
    """It is not given to the only flow, for which all else is."""
    probed.exclusive = True
    one = probed.carry(ONE)
    probed.come(datagram(OTHER, b"payload"), datagram(OTHER, probed.answer_to_probe()))
    assert one.payloads == [b"payload"]
