"""Servers whose UDP does not pass: datagrams go over TCP where the server can, or one sentence says so."""

import re

import pytest

from fakes.socks5_server import Act, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_session import Cases
from fakes.socks5_wire import CONNECT, GOST_UDP, HEV_UDP, UDP_ASSOCIATE
from integration.conftest import skip_without
from integration.daemon import dns, tcp
from integration.local import dig, echoes
from integration.servers.process import free_port
from integration.servers.targets import Targets
from integration.servers.unbound import Unbound
from integration.udp_tunnel import RUNG_S, udp_tunnel

NO_UDP = {
    "not supported": Script(reply=7),
    "not allowed": Script(reply=2),
    "closes in place of a reply": Script(at=Stage.REPLY, act=Act.CLOSE),
    "closes after the reply": Script(at=Stage.RELAY, act=Act.CLOSE),
    "closes and is silent": Script(
        at=Stage.RELAY, act=Act.CLOSE, udp=UdpScript(fault=UdpFault.DROP, outlives=True)
    ),
    "silent": Script(udp=UdpScript(fault=UdpFault.DROP)),
}
"""The shapes that a server without UDP has."""

SENTENCES = {
    "not supported": "command",
    "not allowed": "rules forbid it",
    "closes in place of a reply": "closed",
    "closes after the reply": "closes each association at once",
    "closes and is silent": "closes each association at once",
    "silent": "no datagram comes back",
}
"""What is said of each."""

RUNGS = {
    "uot-v2": {StreamFormat.UOT_V2, StreamFormat.UOT_V1},
    "uot-v1": {StreamFormat.UOT_V1, StreamFormat.HEV},
    "hev": {StreamFormat.HEV, StreamFormat.GOST},
    "gost": {StreamFormat.GOST},
}
"""The rung that is found, by the formats that the server speaks."""


@pytest.mark.parametrize(
    ("shape", "rung"),
    [
        *((shape, "uot-v2") for shape in NO_UDP),
        ("not supported", "uot-v1"),
        ("silent", "hev"),
        ("closes after the reply", "gost"),
    ],
)
def test_the_next_best_way(shape: str, rung: str) -> None:
    """The first format that the server speaks, for all flows on one connection, and shown."""
    script = Script(formats=frozenset(RUNGS[rung]))
    with (
        udp_tunnel(script, cases={UDP_ASSOCIATE: NO_UDP[shape]}) as tunnel,
        tunnel.programs([0, 1, 2]) as programs,
    ):
        programs.exchange(seconds=RUNG_S)
        tunnel.wait_for_rung(rung)
        programs.exchange(rounds=3)
        assert tunnel.problem() is None
        assert tunnel.echoes.strays == []
        assert tunnel.server.counts.streams.now <= 2


@pytest.mark.parametrize("shape", NO_UDP)
def test_no_way_at_all(shape: str, targets: Targets) -> None:
    """One sentence says so, with a remedy, as the problem of each forward; TCP goes on; nobody is stormed."""
    with udp_tunnel(cases={UDP_ASSOCIATE: NO_UDP[shape]}) as tunnel, tunnel.programs() as programs:
        port = free_port()
        tunnel.sections.append(tcp("echo", port, targets.echo_port))
        tunnel.configure()
        tunnel.daemon.wait_for(lambda status: "echo" in status.forwards)
        programs.talk()
        tunnel.wait_for_rung("none")
        assert not programs.settled()
        problem = tunnel.problem()
        assert problem is not None
        assert str(tunnel.server.port) in problem.text
        assert re.search(SENTENCES[shape], problem.text)
        assert problem.remedy
        assert tunnel.shown().state == "up"
        assert echoes(port)
        asked = tunnel.server.counts.connections.total
        for _ in range(100):
            programs.talk()
        assert tunnel.server.counts.connections.total - asked <= 20


COMMANDS = (HEV_UDP, GOST_UDP)
NAMES = ("sp.udp-over-tcp.arpa", "sp.v2.udp-over-tcp.arpa")

CLOSES = Script(at=Stage.REPLY, act=Act.CLOSE)
DOES_NOTHING = Script(at=Stage.RELAY, act=Act.STALL, formats=frozenset(StreamFormat))

REFUSALS: dict[str, Cases] = {
    "closes at commands": dict.fromkeys(COMMANDS, CLOSES),
    "closes at names": dict.fromkeys(NAMES, CLOSES),
    "grants all and does nothing": dict.fromkeys((*COMMANDS, *NAMES), DOES_NOTHING),
    "grants names early": {CONNECT: Script(early=True)},
}
"""How servers that speak no format decline it, beside what is right."""


@pytest.mark.parametrize("cases", REFUSALS.values(), ids=list(REFUSALS))
def test_formats_that_are_declined_oddly(cases: Cases) -> None:
    """A success that leads to nothing is none."""
    with (
        udp_tunnel(cases={UDP_ASSOCIATE: Script(reply=7), **cases}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.talk()
        tunnel.daemon.wait_for(lambda _: tunnel.shown().udp == "none", seconds=2 * RUNG_S)
        assert tunnel.problem() is not None


@pytest.mark.parametrize("rung", RUNGS)
def test_streams_in_pieces(rung: str) -> None:
    """What the server sends octet by octet arrives whole."""
    script = Script(formats=frozenset(RUNGS[rung]), at=Stage.RELAY, act=Act.DRIP, interval=0)
    with (
        udp_tunnel(script, cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel,
        tunnel.programs(size=600) as programs,
    ):
        programs.exchange(rounds=3)


@pytest.mark.parametrize(
    ("rung", "fault"),
    [
        *((rung, UdpFault.GARBAGE) for rung in RUNGS),
        ("uot-v1", UdpFault.TRUNCATED),
        ("hev", UdpFault.CONTROL_CLOSED),
    ],
)
def test_streams_that_break(rung: str, fault: UdpFault) -> None:
    """A new one is made, for the same programs, once the server sends what it should."""
    script = Script(formats=frozenset(RUNGS[rung]))
    with udp_tunnel(script, cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel, tunnel.programs() as programs:
        programs.exchange()
        tunnel.server.switch(UdpScript(fault=fault))
        programs.exchange(rounds=2, seconds=5)
        assert tunnel.shown().udp == rung


def test_dns_goes_on_by_tcp(unbound: Unbound) -> None:
    """Where no datagrams pass, names are asked for over TCP."""
    skip_without("dig")
    with udp_tunnel(cases={UDP_ASSOCIATE: Script(reply=7)}, leads=range(1)) as tunnel:
        port = free_port()
        tunnel.sections.append(dns(port, f"udp://{unbound.address}"))
        tunnel.configure()
        tunnel.daemon.wait_for(lambda status: status.dns is not None)
        assert dig(port, "www.example").records == ["192.0.2.80"]


SET = {"uot": "uot-v2", "hev": "hev", "gost": "gost", "associate": "associate"}


@pytest.mark.parametrize("setting", SET)
def test_what_is_configured_is_taken(setting: str) -> None:
    """And no other way, though the server knows them all."""
    script = Script(formats=frozenset(StreamFormat))
    with udp_tunnel(script, udp=setting) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=2)
        assert tunnel.shown().udp == SET[setting]
        assert bool(tunnel.server.counts.associations.total) == (setting == "associate")


def test_a_server_that_learns_udp() -> None:
    """It is found out in time, without a restart, and the problem goes."""
    with udp_tunnel(cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel, tunnel.programs() as programs:
        programs.talk()
        tunnel.wait_for_rung("none")
        tunnel.server.cases.clear()
        programs.exchange(seconds=20)
        tunnel.wait_for_rung("associate")
        assert tunnel.problem() is None


def test_a_configured_relay_address() -> None:
    """It counts more than what the server names."""
    with (
        udp_tunnel(Script(bound_host="127.0.0.3", relay_host="127.0.0.2"), udp_address="127.0.0.2") as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange(rounds=2)
        assert tunnel.shown().udp == "associate"
