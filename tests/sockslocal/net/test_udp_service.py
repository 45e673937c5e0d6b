from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.engine import POLLERS, FakeClock, Told, until, way_to
from fakes.flows import FakeReceiver
from fakes.socks5_server import FakeServer, Script, StreamFormat, UdpFault, UdpScript
from fakes.socks5_wire import UDP_ASSOCIATE
from fakes.udp_echoes import udp_echoes
from fakes.udp_programs import Flows, exchanged
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits, ServerConfig, TlsConfig
from sockslocal.errors import ServerError
from sockslocal.net.datagrams import MAX_DATAGRAM, PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.profile import Profile
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_service import PATIENCE_S, UdpService

REMOTE = Endpoint("127.0.0.1", 9)
"""Nobody is there."""

pytestmark = pytest.mark.usefixtures("sweep_often")


class Served:
    """A server as the service knows it, and the service."""

    def __init__(
        self,
        engine: Engine,
        address: tuple[str, int] = ("127.0.0.1", 1),
        profile: Profile | None = None,
        **config: Any,
    ) -> None:
        config = {"udp_probe": None, **config}
        self.config = ServerConfig(name="office", address=Endpoint(*address), **config)
        self.way = way_to(address)
        self.latency_ms: float | None = None
        self.profile = profile or Profile()
        self.changes = Told()
        self.service = UdpService(engine, self, Limits(), lambda: self.changes(self.shown))

    @property
    def shown(self) -> tuple[str, str | None]:
        """What the status shows."""
        problem = self.service.problem
        return self.service.rung, problem.code if problem else None

    def learn(self, **facts: object) -> None:
        self.profile = self.profile.replace(**facts)

    async def close(self) -> None:
        self.service.close()
        await until(lambda: not self.service.broker._sweeping, "the sweep has ended")


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])
async def test_many_flows_by_one_association(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Each hears its own; what was found out is shown, kept, and told once."""
    served = Served(engine, server.address, udp_probe=udp_target)
    assert served.shown == ("unknown", None)
    with udp_echoes(50) as echoes:
        flows = Flows(served.service.open, echoes.addresses)
        await exchanged(flows, rounds=3)
    assert server.counts.associations.total == 1
    assert served.changes.calls == [("associate", None)]
    assert (served.profile.rung, served.profile.relay_rule) == ("associate", "given")
    await served.close()


async def test_the_rung_is_found(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """By what the server grants, and kept for the next time, when it is the first to be tried."""
    server.script = Script(formats=frozenset({StreamFormat.HEV}))
    server.cases[UDP_ASSOCIATE] = Script(reply=7)
    served = Served(engine, server.address, udp_probe=udp_target)
    await exchanged(Flows(served.service.open, [udp_target]))
    assert served.shown == ("hev", None)
    await served.close()
    asked = len(server.sessions)
    again = Served(engine, server.address, served.profile, udp_probe=udp_target)
    await exchanged(Flows(again.service.open, [udp_target]))
    assert len(server.sessions) == asked + 1
    await again.close()


async def test_no_udp_at_all(engine: Engine, server: FakeServer, clock: FakeClock) -> None:
    """That is shown with the reason, once, and each flow is lost by it."""
    server.script = Script(reply=7)
    served = Served(engine, server.address, udp="associate")
    for _ in range(2):
        receiver = FakeReceiver()
        served.service.open(REMOTE, receiver, 60.0)
        await until(lambda receiver=receiver: receiver.losses, "refused")  # type: ignore[misc]
        assert receiver.lost_by == "udp-unsupported"
        clock.advance(5.0)
    assert served.changes.calls == [("none", "udp-unsupported")]
    assert served.profile.rung == "none"
    await served.close()


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"udp": "off"}, "udp-off"),
        ({"udp": "associate", "tls": TlsConfig(name="", ca=None)}, "udp-outside-tls"),
    ],
)
async def test_what_the_user_forbids(engine: Engine, config: dict[str, Any], code: str) -> None:
    """It is never tried, and shown from the beginning."""
    served = Served(engine, **config)
    assert served.shown == ("none", code)
    with pytest.raises(ServerError) as caught:
        served.service.open(REMOTE, FakeReceiver(), 60.0)
    assert caught.value.problem.code == code
    assert served.service.broker.associations == 0


@pytest.mark.parametrize(
    "remote",
    [
        Endpoint("192.0.2.1", 0),
        Endpoint("0.0.0.0", 7),
        Endpoint("255.255.255.255", 7),
        Endpoint("224.0.0.251", 5353),
        Endpoint("ff02::1", 7),
    ],
)
async def test_no_datagram_is_sent_of_which_relays_die(engine: Engine, remote: Endpoint) -> None:
    """Nor an association made for it."""
    served = Served(engine)
    with pytest.raises(ServerError) as caught:
        served.service.open(remote, FakeReceiver(), 60.0)
    assert caught.value.problem.code == "udp-remote-invalid"
    assert served.service.broker.associations == 0


async def test_patience_is_as_long_as_the_server_is_slow(engine: Engine) -> None:
    """A second, and what connecting and logging in takes twice."""
    served = Served(engine)
    assert served.service.terms().patience == PATIENCE_S
    served.latency_ms = 300.0
    assert served.service.terms().patience == pytest.approx(PATIENCE_S + 0.6)


# the profile


async def test_it_goes_by_the_profile(engine: Engine) -> None:
    """From the beginning."""
    profile = Profile(
        rung="associate",
        relay_rule="port",
        names_remote=False,
        closes_control=True,
        probe_answers=True,
        bears_empty=True,
        largest_datagram=1400,
        foreign_source="port",
    )
    service = Served(engine, profile=profile).service
    health, terms = service._health, service.terms()
    assert health.rung() is Rung.PORT
    assert (health.names_remotes, health.lenient, health.answers_probes) == (False, True, True)
    assert (terms.smallest, terms.largest, terms.foreign) == (0, 1400, True)


@pytest.mark.parametrize("profile", [Profile(), Profile(rung="none", bears_empty=False, foreign_source="no")])
async def test_it_is_careful_where_the_profile_says_nothing(engine: Engine, profile: Profile) -> None:
    """Or nothing good."""
    service = Served(engine, profile=profile).service
    health, terms = service._health, service.terms()
    assert health.rung() is Rung.GIVEN
    assert (health.names_remotes, health.lenient, health.answers_probes) == (None, False, False)
    assert (terms.smallest, terms.largest, terms.foreign) == (1, MAX_DATAGRAM, False)


@pytest.mark.parametrize(("before", "after"), [(True, False), (None, None)])
async def test_a_probe_that_is_not_answered_any_more_is_remembered(
    engine: Engine, *, before: bool | None, after: bool | None
) -> None:
    """It is not to be relied upon after a restart either."""
    served = Served(engine, profile=Profile(probe_answers=before))
    served.service.unanswered()
    assert served.profile.probe_answers is after


async def test_it_goes_by_an_examination(engine: Engine) -> None:
    """Where no datagram has passed yet, by the rung that it found, which is shown."""
    served = Served(engine)
    found = Profile(rung="gost", closes_control=True, probe_answers=True, largest_datagram=1400)
    served.profile = found
    served.service.go_by(found)
    assert served.shown == ("gost", None)
    health = served.service._health
    assert (health.rung(), health.lenient, health.answers_probes) == (Rung.GOST, True, True)
    assert served.service.terms().largest == 1400


@pytest.mark.parametrize("rung", ["none", "uot-v2", None])
async def test_a_rung_that_is_of_no_use(engine: Engine, rung: Any) -> None:
    """None was found, or one that the user does not want; it begins where it did."""
    served = Served(engine, udp="hev")
    served.service.go_by(Profile(rung=rung))
    assert served.shown == ("unknown", None)
    assert served.service._health.rung() is Rung.HEV


async def test_an_examination_does_not_change_what_works(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Datagrams pass, and go on as they do."""
    served = Served(engine, server.address)
    flows = Flows(served.service.open, [udp_target])
    await exchanged(flows)
    served.service.go_by(Profile(rung="gost"))
    assert served.shown == ("associate", None)
    await exchanged(flows)
    assert server.counts.associations.total == 1
    await served.close()


# the empty datagram


@dataclass
class Flowing:
    """A flow by a server of which it is not known whether it bears an empty datagram."""

    served: Served
    flow: Any
    receiver: FakeReceiver = field(default_factory=FakeReceiver)


async def flowing(engine: Engine, server: FakeServer, udp_target: Endpoint, **config: Any) -> Flowing:
    """One that has had an answer."""
    served = Served(engine, server.address, **config)
    receiver = FakeReceiver()
    flow = served.service.open(udp_target, receiver, 60.0)
    flow.send_payload(b"ping")
    await until(lambda: receiver.payloads, "the echo")
    return Flowing(served, flow, receiver)


@pytest.mark.parametrize("bears", [False, True])
async def test_whether_it_bears_an_empty_datagram_is_found_out(
    engine: Engine, server: FakeServer, udp_target: Endpoint, *, bears: bool
) -> None:
    """With an association of its own, once; from then on they go or do not, and the flow is as it was."""
    server.script = Script(udp=UdpScript(fault=None if bears else UdpFault.POISON))
    made = await flowing(engine, server, udp_target, udp_probe=udp_target)
    await until(lambda: made.served.service._health.answers_probes, "probes are answered")
    for _ in range(10):
        assert not made.flow.send_payload(b"")
    await until(lambda: made.served.profile.bears_empty is not None, "it is known")
    assert made.served.profile.bears_empty == bears
    assert server.counts.associations.total == 2
    assert made.flow.send_payload(b"") == bears
    made.flow.send_payload(b"pong")
    await until(lambda: b"pong" in made.receiver.payloads, "the echo")
    assert made.receiver.payloads == [b"ping", *([b""] if bears else []), b"pong"]
    assert server.counts.associations.total == 2
    await made.served.close()


async def test_without_a_probe_it_is_not_tried(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Nobody could tell how it ended."""
    made = await flowing(engine, server, udp_target)
    assert not made.flow.send_payload(b"")
    assert server.counts.associations.total == 1
    await made.served.close()


async def test_where_probes_are_not_answered_it_is_not_tried(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """It would be tried again and again."""
    made = await flowing(engine, server, udp_target, udp_probe=REMOTE)
    assert not made.flow.send_payload(b"")
    assert server.counts.associations.total == 1
    await made.served.close()


async def test_where_no_other_association_is_granted_nothing_is_learned(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """It is tried again when the next one is sent."""
    made = await flowing(engine, server, udp_target, udp_probe=udp_target)
    await until(lambda: made.served.service._health.answers_probes, "probes are answered")
    server.script = Script(reply=1)
    for sessions in (2, 3):
        assert not made.flow.send_payload(b"")
        await until(lambda: made.served.service._empty_test is None, "it was refused")
        assert (made.served.profile.bears_empty, len(server.sessions)) == (None, sessions)
    await made.served.close()


async def test_it_may_be_closed_in_the_midst(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Nothing is learned then."""
    made = await flowing(engine, server, udp_target, udp_probe=udp_target)
    await until(lambda: made.served.service._health.answers_probes, "probes are answered")
    server.script = Script(udp=UdpScript(fault=UdpFault.DROP, after=1))
    assert not made.flow.send_payload(b"")
    await until(lambda: server.counts.datagrams >= 4, "under way")
    await made.served.close()
    assert made.served.profile.bears_empty is None
