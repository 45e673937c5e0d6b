import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.probe_target import dns, probe_target
from fakes.socks5_server import (
    Act,
    FakeServer,
    Named,
    PortRule,
    Script,
    Stage,
    StreamFormat,
    UdpFault,
    UdpScript,
)
from fakes.socks5_wire import UDP_ASSOCIATE
from sockslocal.address import Endpoint
from sockslocal.net.probe_datagrams import DatagramTests, Obstacle, find_obstacle
from sockslocal.net.probing import Access
from sockslocal.socks5.udp_over_tcp import FRAMINGS

PATIENCE_S, SHORT_S = 10.0, 0.1

AFTER_SILENCE_S = 1.0
"""For what is answered in the end; half of it for each attempt, and as much for the silence before."""

FORMATS = {
    "uot-v1": StreamFormat.UOT_V1,
    "uot-v2": StreamFormat.UOT_V2,
    "hev": StreamFormat.HEV,
    "gost": StreamFormat.GOST,
}

pytestmark = pytest.mark.usefixtures("engine")  # which sees that nothing is left


@pytest.fixture
def remote() -> Iterator[Endpoint]:
    """Who is asked."""
    with probe_target(dns) as endpoint:
        yield endpoint


class Made:
    """Tests of one server, and what they learn."""

    def __init__(
        self, address: tuple[str, int], remote: Endpoint, seconds: float = PATIENCE_S, **more: Any
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.access = Access((family, address), None, PATIENCE_S)
        self.facts: dict[str, Any] = {}
        settings: dict[str, Any] = {"twin": None, "override": None, **more}
        self.tests = DatagramTests(
            access=self.access, remote=remote, seconds=seconds, learn=self.facts.update, **settings
        )

    @property
    def way(self) -> tuple[object, object]:
        return self.facts.get("rung"), self.facts.get("relay_rule")


async def test_a_good_server(server: FakeServer, remote: Endpoint) -> None:
    """One association tells all."""
    made = Made(server.address, remote, twin=remote._replace(host="::1"))
    assert await made.tests.try_association() is None
    assert made.facts == {
        "rung": "associate",
        "relay_rule": "given",
        "probe_answers": True,
        "foreign_source": "no",
        "names_remote": True,
        "udp_ipv6": True,
        "closes_control": False,
        "names_relay": True,
    }
    assert server.counts.associations.total == 1


async def test_an_echo_tells_the_largest_datagram(server: FakeServer) -> None:
    """As the server cuts it."""
    server.script = Script(udp=UdpScript(cut_above=2038))
    with probe_target(ipv6=False) as remote:
        made = Made(server.address, remote)
        assert await made.tests.try_association() is None
    assert made.facts["largest_datagram"] == 2038


async def test_a_relay_that_cannot_be_where_it_is_said_to_be(server: FakeServer, remote: Endpoint) -> None:
    """A private address of a server on this machine: it is at the server's own."""
    server.script = Script(bound_host="10.0.0.7")
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["names_relay"]) == (("associate", "given"), False)


@pytest.mark.parametrize("named", ["", "relay.example", "0.0.0.0", "::ffff:127.0.0.1", "169.254.1.1"])
async def test_a_relay_that_has_no_address(server: FakeServer, remote: Endpoint, named: str) -> None:
    """What is no address of the server's, or not written as one."""
    server.script = Script(bound_host=named)
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["names_relay"]) == (("associate", "given"), "127" in named)


async def test_a_relay_that_is_not_where_it_is_said_to_be(server: FakeServer, remote: Endpoint) -> None:
    """The server's own address is tried after the one given, on the same association."""
    server.script = Script(bound_host="127.0.0.2")
    made = Made(server.address, remote, AFTER_SILENCE_S)
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["names_relay"]) == (("associate", "server"), True)
    assert server.counts.associations.total == 1


async def test_a_relay_on_another_host(server: FakeServer, remote: Endpoint) -> None:
    """Whom we cannot reach from the address that the server knows us by."""
    server.script = Script(relay_host="127.0.0.2")
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert made.way == ("associate", "given")


async def test_a_relay_where_the_user_says_it_is(server: FakeServer, remote: Endpoint) -> None:
    """That counts more than what the server says, and nothing else is tried."""
    server.script = Script(bound_host="10.0.0.7")
    made = Made(server.address, remote, override="127.0.0.1")
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["names_relay"]) == (("associate", "given"), None)
    made = Made(server.address, remote, SHORT_S, override="127.0.0.2")
    assert await made.tests.try_association() is not None


async def test_a_server_that_wants_to_know_our_port(server: FakeServer, remote: Endpoint) -> None:
    """A second association says it."""
    server.script = Script(udp=UdpScript(port_rule=PortRule.TRUE))
    made = Made(server.address, remote, AFTER_SILENCE_S)
    assert await made.tests.try_association() is None
    assert made.way == ("associate", "port")
    assert server.counts.associations.total == 2


async def test_a_server_that_is_reached_by_ipv6(remote: Endpoint) -> None:
    """Zeros are of the same family, and so is the socket."""
    with FakeServer(host="::1") as server:
        made = Made(server.address, remote)
        assert await made.tests.try_association() is None
        assert made.way == ("associate", "given")
        assert server.sessions[0].target == ("::", 0)


@pytest.mark.parametrize(
    ("fault", "foreign"), [(UdpFault.OTHER_PORT, "port"), (UdpFault.OTHER_ADDRESS, "address")]
)
async def test_answers_from_elsewhere(
    server: FakeServer, remote: Endpoint, fault: UdpFault, foreign: str
) -> None:
    """They are answers, for nobody else knows the question."""
    server.script = Script(udp=UdpScript(fault=fault))
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["foreign_source"]) == (("associate", "given"), foreign)


@pytest.mark.parametrize(
    "udp",
    [
        UdpScript(named=Named.CLIENT),
        UdpScript(fragment=1),
        UdpScript(reserved=b"\0\1"),
        UdpScript(fault=UdpFault.TRUNCATED),
        UdpScript(fault=UdpFault.GARBAGE),
    ],
)
async def test_answers_that_name_nobody(server: FakeServer, remote: Endpoint, udp: UdpScript) -> None:
    """They come from the relay, so datagrams pass."""
    server.script = Script(udp=udp)
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert (made.way, made.facts["names_remote"]) == (("associate", "given"), False)


@pytest.mark.parametrize(
    ("script", "phrase"),
    [
        (Script(reply=7), "the server does not support this command"),
        (Script(reply=2), "the server's rules forbid it"),
        (
            Script(at=Stage.REPLY, act=Act.CLOSE),
            "it closes the connection when it is asked for an association",
        ),
        (Script(at=Stage.REPLY, act=Act.SAY, text=b"\4"), "its reply has version 4, not 5"),
        (Script(at=Stage.METHOD, act=Act.CLOSE), "it closed the connection during the greeting"),
        (
            Script(at=Stage.RELAY, act=Act.CLOSE, udp=UdpScript(fault=UdpFault.DROP)),
            "it closes each association at once",
        ),
        (Script(at=Stage.RELAY, act=Act.RESET), "it closes each association at once"),
        (
            Script(bound=b"\1\x7f\0\0\1\0\0"),
            "it names 127.0.0.1:0 as its relay, where nothing can be sent",
        ),
    ],
)
async def test_a_server_without_udp(
    server: FakeServer, remote: Endpoint, script: Script, phrase: str
) -> None:
    """Each of its shapes has words of its own; it is not asked in other ways."""
    server.script = script
    made = Made(server.address, remote, SHORT_S)
    assert await made.tests.try_association() == Obstacle(phrase)
    assert made.facts == {}
    assert len(server.sessions) == 1


async def test_a_relay_without_a_control_connection(server: FakeServer, remote: Endpoint) -> None:
    """Some servers close it at once, and relay all the same."""
    server.script = Script(at=Stage.RELAY, act=Act.CLOSE, udp=UdpScript(outlives=True))
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert made.facts["closes_control"] is True


async def test_a_relay_that_is_silent(server: FakeServer, remote: Endpoint) -> None:
    """Maybe nobody answers behind it, so this is not the last word."""
    server.script = Script(udp=UdpScript(fault=UdpFault.DROP))
    made = Made(server.address, remote, SHORT_S)
    phrase = f"it grants associations, but no answer from {remote} comes back"
    assert await made.tests.try_association() == Obstacle(phrase, again=True, silent=True)
    assert made.facts == {}
    assert server.counts.associations.total == 2


async def test_a_server_that_fails_may_do_better_with_our_port(server: FakeServer, remote: Endpoint) -> None:
    """Some refuse zeros, and do not say why."""
    server.scripts.append(Script(reply=1))
    made = Made(server.address, remote)
    assert await made.tests.try_association() is None
    assert made.way == ("associate", "port")


async def test_a_server_that_says_nothing(server: FakeServer, remote: Endpoint) -> None:
    """Its answer has the patience that any has."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    made = Made(server.address, remote)
    made.access.patience_s = SHORT_S
    phrase = "it does not answer when it is asked for an association"
    assert await made.tests.try_association() == Obstacle(phrase)


async def test_a_server_that_is_gone(remote: Endpoint) -> None:
    """In the system's words."""
    made = Made(("127.0.0.1", 1), remote)
    assert await made.tests.try_association() == Obstacle("connection refused")
    assert not await made.tests.try_stream(FRAMINGS["hev"])


async def test_a_relay_of_a_family_that_is_not_here(
    server: FakeServer, remote: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be asked; the server's own address can."""
    server.script = Script(bound=b"\4\x20\1\x0d\xb8" + bytes(11) + b"\1\x10\0")
    family = socket.AF_INET6
    monkeypatch.setattr(socket, "AF_INET6", 12_345)
    made = Made(server.address, remote, SHORT_S)
    obstacle = await made.tests.try_association()
    monkeypatch.setattr(socket, "AF_INET6", family)
    assert obstacle is not None
    assert "no answer" in obstacle.phrase


@pytest.mark.parametrize("name", FORMATS)
async def test_udp_over_tcp(server: FakeServer, name: str) -> None:
    """In each format, with all that can be learned on a stream."""
    server.script = Script(formats=frozenset({FORMATS[name]}), udp=UdpScript(cut_above=1490))
    with probe_target() as remote:
        made = Made(server.address, remote, twin=remote._replace(host="::1"))
        assert await made.tests.try_stream(FRAMINGS[name])
    assert made.facts == {
        "rung": name,
        "probe_answers": True,
        "foreign_source": None,
        "names_remote": True,
        "udp_ipv6": True,
        "largest_datagram": 1490,
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "script",
    [
        Script(),
        Script(at=Stage.REPLY, act=Act.CLOSE),
        Script(formats=frozenset(StreamFormat), udp=UdpScript(fault=UdpFault.DROP)),
        Script(formats=frozenset(StreamFormat), udp=UdpScript(fault=UdpFault.GARBAGE)),
        Script(formats=frozenset(StreamFormat), at=Stage.RELAY, act=Act.CLOSE),
    ],
    ids=["refused", "closed", "silent", "garbage", "closed after success"],
)
async def test_no_udp_over_tcp(server: FakeServer, remote: Endpoint, name: str, script: Script) -> None:
    """Nothing is learned."""
    server.script = script
    made = Made(server.address, remote, SHORT_S)
    assert not await made.tests.try_stream(FRAMINGS[name])
    assert made.facts == {}


async def test_only_whether_associations_are_granted(server: FakeServer) -> None:
    """Where nobody is to be asked through them."""
    access = Access((socket.AF_INET, server.address), None, PATIENCE_S)
    assert await find_obstacle(access) is None
    server.cases[UDP_ASSOCIATE] = Script(reply=7)
    phrase = "the server does not support this command"
    assert await find_obstacle(access) == Obstacle(phrase, unsupported=True)
    server.cases[UDP_ASSOCIATE] = Script(at=Stage.REPLY, act=Act.CLOSE)
    phrase = "it closes the connection when it is asked for an association"
    assert await find_obstacle(access) == Obstacle(phrase)
