import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import until, way_to
from fakes.picky_server import picky_server
from fakes.probe_target import dns, probe_target
from fakes.socks5_server import Act, FakeServer, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_wire import CONNECT, UDP_ASSOCIATE
from fakes.tls_front import TlsFront
from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig, TlsConfig
from sockslocal.errors import ServerError
from sockslocal.net import examination as module
from sockslocal.net import probe_handshakes
from sockslocal.net.engine import Engine
from sockslocal.net.examination import Findings, examine, twin_of
from sockslocal.net.tls import Tls
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials

ANA = Credentials("ana", Secret("hunter2"))

SHORT_S = 0.15


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason for a fact not to be found."""
    monkeypatch.setattr(module, "WHOLE_S", 60.0)
    monkeypatch.setattr(probe_handshakes, "SHORTEST_S", 10.0)
    for place in (module, probe_handshakes):
        monkeypatch.setattr(place, "LONGEST_S", 10.0)
    monkeypatch.setattr(module, "QUESTION_S", 10.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datagrams that are lost are not waited for as long."""
    monkeypatch.setattr(module, "QUESTION_S", SHORT_S)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


@pytest.fixture
def remote() -> Iterator[Endpoint]:
    """A DNS server."""
    with probe_target(dns) as endpoint:
        yield endpoint


async def examined(
    engine: Engine,
    address: tuple[str, int],
    remote: Endpoint | None,
    login: Credentials | None = ANA,
    **more: Any,
) -> Findings:
    """What is found out of the server at `address`."""
    config = ServerConfig(
        name="office",
        address=Endpoint(*address),
        username=login.username if login else None,
        udp_probe=remote,
        **more,
    )
    return await examine(engine, way_to(address, login, tls=Tls(config.tls) if config.tls else None), config)


def known(findings: Findings) -> dict[str, Any]:
    """The facts that were found, but for those that differ each time."""
    profile = findings.profile
    facts = {fact: getattr(profile, fact) for fact in profile.__struct_fields__}
    return {
        fact: value
        for fact, value in facts.items()
        if value is not None and fact not in ("rtt_ms", "tested_at")
    }


HANDSHAKE = {
    "methods": ("password",),
    "split": True,
    "semi_pipelined": True,
    "pipelined": True,
    "optimistic": True,
    "ipv6": "yes",
}
ASSOCIATION = {
    "rung": "associate",
    "relay_rule": "given",
    "names_relay": True,
    "foreign_source": "no",
    "closes_control": False,
    "names_remote": True,
    "udp_ipv6": True,
    "probe_answers": True,
}


async def test_a_good_server(engine: Engine, fake: FakeServer, remote: Endpoint) -> None:
    """All is found out, and no connection is left."""
    findings = await examined(engine, fake.address, remote)
    assert known(findings) == HANDSHAKE | ASSOCIATION
    assert findings.profile.rtt_ms is not None
    assert findings.profile.tested_at is not None
    assert findings.target is not None
    assert findings.target.answered
    assert findings.udp_obstacle is None
    await until(lambda: fake.counts.connections.now == 0, "all connections are closed")


async def test_a_server_without_login(engine: Engine, remote: Endpoint) -> None:
    """There is no login to be sent along with the request."""
    with FakeServer() as fake:
        findings = await examined(engine, fake.address, remote, None)
        facts = HANDSHAKE | ASSOCIATION | {"methods": ("none",)}
        del facts["semi_pipelined"]
        assert known(findings) == facts
        assert {session.login for session in fake.sessions} == {None}


async def test_a_server_that_bears_little(
    engine: Engine, remote: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As microsocks does: nothing but plain speech."""
    monkeypatch.setattr(probe_handshakes, "SHORTEST_S", 1.0)  # what is lost is waited for
    for place in (module, probe_handshakes):
        monkeypatch.setattr(place, "LONGEST_S", 1.0)
    with picky_server() as address:
        facts = known(await examined(engine, address, remote, udp="off"))
    assert facts == {
        "methods": ("password",),
        "split": False,
        "semi_pipelined": False,
        "pipelined": False,
        "optimistic": False,
        "ipv6": "yes",
    }


async def test_a_password_that_is_rejected_is_tried_once(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """And is the problem; nothing else is asked."""
    with pytest.raises(ServerError) as caught:
        await examined(engine, fake.address, remote, Credentials("ana", Secret("wrong")))
    assert caught.value.problem.code == "auth-failed"
    assert len(fake.sessions) == 1


async def test_a_password_that_may_be_rejected_only_now(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """Some servers accept any, and then allow nothing: no more than two requests are made."""
    fake.cases = {CONNECT: Script(reply=2), UDP_ASSOCIATE: Script(reply=2)}
    findings = await examined(engine, fake.address, remote)
    assert known(findings) == {"methods": ("password",), "rung": "none"}
    assert [session.command for session in fake.sessions if session.command] == [CONNECT, UDP_ASSOCIATE]
    assert findings.target is not None
    assert findings.target.phrase == "the server's rules forbid it, or it does not accept the login"
    assert findings.udp_obstacle == findings.target.phrase


async def test_datagrams_may_pass_where_the_connection_is_forbidden(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """So that was not for the password's sake; but how handshakes fare, nobody knows."""
    fake.cases = {CONNECT: Script(reply=2)}
    assert known(await examined(engine, fake.address, remote)) == ASSOCIATION | {"methods": ("password",)}


async def test_a_target_that_is_not_there(engine: Engine, fake: FakeServer) -> None:
    """The refusal is an answer to hold other handshakes against; early data and IPv6 cannot be told."""
    with probe_target(ipv6=False) as nobody:
        pass
    fake.cases = {UDP_ASSOCIATE: Script(reply=7)}
    findings = await examined(engine, fake.address, nobody)
    facts = HANDSHAKE | {"rung": "none"}
    del facts["optimistic"], facts["ipv6"]
    assert known(findings) == facts
    assert findings.target is not None
    assert findings.target.phrase == "the target refused the connection"
    assert findings.udp_obstacle == "the server does not support this command"


@pytest.mark.usefixtures("quick")
async def test_silence_of_datagrams_where_the_target_answers(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """It is the server's."""
    fake.cases = {UDP_ASSOCIATE: Script(udp=UdpScript(fault=UdpFault.DROP))}
    findings = await examined(engine, fake.address, remote)
    assert known(findings) == HANDSHAKE | {"rung": "none"}
    assert findings.udp_obstacle == f"it grants associations, but no answer from {remote} comes back"


@pytest.mark.usefixtures("quick")
async def test_silence_where_nobody_answers_anyway(engine: Engine, fake: FakeServer) -> None:
    """Whether datagrams pass is not known."""
    with probe_target(ipv6=False) as nobody:
        pass
    findings = await examined(engine, fake.address, nobody)
    assert findings.profile.rung is None
    assert findings.udp_obstacle == f"it grants associations, but no answer from {nobody} comes back"


async def test_a_refusal_is_the_servers_though_nobody_answers(engine: Engine, fake: FakeServer) -> None:
    """In whatever words: what it does not grant, does not pass."""
    with probe_target(ipv6=False) as nobody:
        pass
    fake.cases = {UDP_ASSOCIATE: Script(reply=1)}
    findings = await examined(engine, fake.address, nobody)
    assert findings.profile.rung == "none"
    assert findings.udp_obstacle == "the server failed and does not say why"


@pytest.mark.parametrize(
    ("udp", "formats", "rung"),
    [
        ("auto", set(StreamFormat), "uot-v2"),
        ("auto", {StreamFormat.GOST, StreamFormat.UOT_V1}, "uot-v1"),
        ("auto", {StreamFormat.GOST}, "gost"),
        ("uot", {StreamFormat.HEV}, "none"),
        ("hev", {StreamFormat.HEV}, "hev"),
        ("associate", set(StreamFormat), "none"),
    ],
)
async def test_udp_over_tcp(
    engine: Engine, fake: FakeServer, remote: Endpoint, *, udp: str, formats: set[StreamFormat], rung: str
) -> None:
    """The best of what is there and is wanted."""
    fake.script = Script(formats=frozenset(formats))
    fake.cases = {UDP_ASSOCIATE: Script(reply=7)}
    findings = await examined(engine, fake.address, remote, udp=udp)
    assert findings.profile.rung == rung
    assert findings.profile.relay_rule is None
    assert findings.profile.probe_answers is (None if rung == "none" else True)


async def test_inside_tls(engine: Engine, fake: FakeServer, remote: Endpoint, tmp_path: Path) -> None:
    """All is found out that is without it, but for associations, whose datagrams would leave it."""
    authority = Authority(tmp_path)
    fake.script = Script(formats=frozenset(StreamFormat))
    with TlsFront(fake.address, authority.issue()) as front:
        findings = await examined(engine, front.address, remote, tls=TlsConfig(NAME, authority.ca))
    assert findings.profile.rung == "uot-v2"
    assert HANDSHAKE.items() <= known(findings).items()
    assert fake.counts.associations.total == 0


async def test_no_udp_over_tcp_has_words_of_its_own(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """Where nothing else was wanted."""
    findings = await examined(engine, fake.address, remote, udp="gost")
    assert (findings.profile.rung, findings.udp_obstacle) == ("none", "it takes no UDP over TCP")


async def test_datagrams_that_are_not_wanted(engine: Engine, fake: FakeServer, remote: Endpoint) -> None:
    """Are not sent."""
    findings = await examined(engine, fake.address, remote, udp="off")
    assert known(findings) == HANDSHAKE
    assert {session.command for session in fake.sessions} == {0, CONNECT}


@pytest.mark.parametrize("udp", ["auto", "hev"])
async def test_nobody_to_be_asked(engine: Engine, fake: FakeServer, udp: str) -> None:
    """Without a probe it is only seen whether associations are granted."""
    findings = await examined(engine, fake.address, None, udp=udp)
    assert (findings.target, findings.udp_obstacle) == (None, None)
    assert known(findings) == {"methods": ("password",)}
    fake.cases = {UDP_ASSOCIATE: Script(reply=7)}
    for mode, rung in (("associate", "none"), ("auto", None)):  # UDP over TCP might pass, and is not tried
        findings = await examined(engine, fake.address, None, udp=mode)
        assert findings.udp_obstacle == "the server does not support this command"
        assert findings.no_associate
        assert findings.profile.rung == rung
    assert CONNECT not in {session.command for session in fake.sessions}


async def test_a_relay_where_the_user_says_it_is(engine: Engine, fake: FakeServer, remote: Endpoint) -> None:
    """By its name, or its address; one that cannot be found is none."""
    fake.script = Script(bound_host="198.51.100.7")
    for host in ("localhost", "127.0.0.1"):
        findings = await examined(engine, fake.address, remote, udp_address=host)
        assert (findings.profile.rung, findings.profile.names_relay) == ("associate", None)


@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.LOGIN, Stage.REPLY, Stage.RELAY])
async def test_what_is_known_when_the_time_is_over(
    engine: Engine, fake: FakeServer, remote: Endpoint, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest stays unknown, and no connection is left."""
    monkeypatch.setattr(module, "WHOLE_S", 0.5)
    fake.scripts.append(Script())  # for the one that gets in
    fake.script = Script(at=stage, act=Act.STALL)
    findings = await examined(engine, fake.address, remote)
    assert set(known(findings)) <= {"methods"}
    await until(lambda: fake.counts.connections.now == 0, "all connections are closed")


async def test_a_stream_is_learned_of_though_others_are_silent(
    engine: Engine, fake: FakeServer, remote: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a better one might still answer when the time is over."""
    monkeypatch.setattr(module, "WHOLE_S", 2.0)
    fake.script = Script(formats=frozenset({StreamFormat.GOST}))
    fake.cases = {
        UDP_ASSOCIATE: Script(reply=7),
        "sp.v2.udp-over-tcp.arpa": Script(at=Stage.REPLY, act=Act.STALL),
    }
    findings = await examined(engine, fake.address, remote)
    assert findings.profile.rung == "gost"


async def test_an_examination_that_is_cancelled_leaves_nothing(
    engine: Engine, fake: FakeServer, remote: Endpoint
) -> None:
    """As when the daemon ends."""
    fake.cases = {CONNECT: Script(at=Stage.REPLY, act=Act.STALL)}
    task = asyncio.get_running_loop().create_task(examined(engine, fake.address, remote))
    await until(lambda: any(session.command for session in fake.sessions), "it is under way")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: fake.counts.connections.now == 0, "all connections are closed")


@pytest.mark.parametrize(
    ("host", "twin"),
    [
        ("9.9.9.9", "2620:fe::fe"),
        ("127.0.0.1", "::1"),
        ("2001:db8::53", "2001:db8::53"),
        ("192.0.2.53", None),
        ("dns.example", None),
    ],
)
def test_who_is_asked_by_ipv6(host: str, twin: str | None) -> None:
    """Public DNS servers have known addresses; of others nothing is known."""
    assert twin_of(Endpoint(host, 53)) == (Endpoint(twin, 53) if twin else None)
