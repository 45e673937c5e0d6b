import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.edns
import dns.flags
import dns.message
import pytest

from fakes.dns_tunnel import (
    REFUSAL,
    FakeTunnel,
    Script,
    addresses,
    query,
    response,
    silence,
    truncated,
    until,
)
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig, UpstreamScheme
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.errors import ServerError
from sockslocal.resolver import ways, wire
from sockslocal.resolver.ask_udp import MAX_MISMATCHES
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import OverloadedError, UnusableError
from sockslocal.resolver.transport import StreamTransport
from sockslocal.resolver.upstream import Upstream
from sockslocal.resolver.ways import UdpWay
from sockslocal.resolver.wire import Query, parse_query

SECONDS = 5.0
"""More than there is."""

pytestmark = pytest.mark.usefixtures("quick_loop")


def asked(**options: Any) -> Query:
    """A client's question."""
    return parse_query(query(**options).to_wire())


@asynccontextmanager
async def asking(
    script: Script, scheme: UpstreamScheme = "udp"
) -> AsyncIterator[tuple[Upstream, FakeTunnel]]:
    """An upstream behind a tunnel that plays `script`."""
    tunnel = FakeTunnel(script)
    server = Upstream(UpstreamConfig(scheme, Endpoint("192.0.2.53", 53)), tunnel, Digester())
    try:
        yield server, tunnel
    finally:
        await server.close()
        await tunnel.close()


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
async def test_an_answer_says_where_it_came_from(scheme: UpstreamScheme) -> None:
    """Upstream and path; the health has its latency."""
    async with asking(addresses, scheme) as (server, tunnel):
        answer = await server.ask(asked(), SECONDS)
        assert (answer.rcode, answer.upstream, answer.path) == (
            wire.NOERROR,
            f"{scheme}://192.0.2.53:53",
            scheme,
        )
        assert tunnel.paths == [scheme]
        assert (server.health.answered, server.health.failed) == (1, 0)
        assert server.health.latency_s is not None


async def test_an_answer_truncated_by_tcp_is_none() -> None:
    """It fails as any that cannot be used (RFC 2181 §9)."""
    async with asking(lambda message, _: [truncated(message)], "tcp") as (server, _):
        with pytest.raises(UnusableError, match="truncated"):
            await server.ask(asked(), SECONDS)


async def test_a_truncated_answer_is_asked_for_by_tcp() -> None:
    """Every time anew, as the next answer may fit (checklist 32)."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return [truncated(message)] if path == "udp" else addresses(message)

    async with asking(script) as (server, tunnel):
        for _ in range(2):
            answer = await server.ask(asked(), SECONDS)
            assert (answer.path, answer.counts) == ("tcp", (1, 0, 0))
        assert tunnel.paths == ["udp", "tcp", "udp", "tcp"]


async def test_do_and_cd_are_passed_on_and_nothing_else_of_the_clients_edns() -> None:
    """Its cookie, its subnet and its size stay here (checklist 46, 54)."""
    async with asking(addresses) as (server, tunnel):
        options = [dns.edns.ECSOption("203.0.113.0", 24), dns.edns.CookieOption(b"12345678", b"")]
        flags = dns.flags.RD | dns.flags.CD
        await server.ask(
            asked(use_edns=0, want_dnssec=True, payload=4096, options=options, flags=flags), SECONDS
        )
        ((_, sent),) = tunnel.asked
        assert sent.payload == 1232
        (cookie,) = sent.options
        assert isinstance(cookie, dns.edns.CookieOption)
        assert (cookie.client != b"12345678", cookie.server) == (True, b"")
        assert sent.ednsflags & dns.flags.DO
        assert sent.flags & dns.flags.CD


async def test_an_upstream_that_is_silent_by_udp_is_asked_by_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for a while at once so; then by UDP again."""
    monkeypatch.setattr(ways, "DATAGRAM_S", 0.01)

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return silence(message, path) if path == "udp" else addresses(message)

    async with asking(script) as (server, tunnel):
        assert (await server.ask(asked(), SECONDS)).path == "tcp"
        assert (await server.ask(asked(), SECONDS)).path == "tcp"
        assert tunnel.paths == ["udp", "tcp", "tcp"]
        assert isinstance(server._way, UdpWay)
        server._way._stream_until = 0.0
        tunnel.script = addresses
        assert (await server.ask(asked(), SECONDS)).path == "udp"


async def test_tcp_has_its_turn_however_little_time_there_is() -> None:
    """Where several upstreams share it, each has less than UDP has of a whole one."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return silence(message, path) if path == "udp" else addresses(message)

    async with asking(script) as (server, _):
        assert (await server.ask(asked(), 1.0)).path == "tcp"


async def test_where_the_server_has_no_udp_tcp_is_used() -> None:
    """At once, as the tunnel says so."""

    def refused(*_: object) -> Any:
        raise ServerError.of("udp-unsupported", address="proxy.example:1080", phrase="command not supported")

    async with asking(addresses) as (server, tunnel):
        tunnel.open_flow = refused  # type: ignore[assignment]
        assert (await server.ask(asked(), SECONDS)).path == "tcp"


async def test_forged_answers_lead_to_tcp() -> None:
    """None of them is believed, and the true one arrives (checklist 70)."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        if path == "tcp":
            return addresses(message)
        message.question[0].name = dns.name.from_text("other.example")
        return [response(message, "other.example A 203.0.113.66")] * MAX_MISMATCHES

    async with asking(script) as (server, _):
        answer = await server.ask(asked(), SECONDS)
        assert (answer.path, answer.body[-4:]) == ("tcp", bytes((192, 0, 2, 1)))
        assert server.mismatches == MAX_MISMATCHES


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP"])
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
async def test_an_upstream_without_edns_is_asked_without_it(rcode: str, scheme: UpstreamScheme) -> None:
    """That is remembered (checklist 52)."""

    def script(message: dns.message.Message, _path: str) -> list[bytes]:
        if message.edns < 0:
            return addresses(message)
        plain = dns.message.from_wire(message.to_wire())
        plain.use_edns(False)
        return [response(plain, rcode=rcode)]

    async with asking(script, scheme) as (server, tunnel):
        for _ in range(2):
            assert (await server.ask(asked(use_edns=0, want_dnssec=True), SECONDS)).counts == (1, 0, 0)
        assert [message.edns for _, message in tunnel.asked] == [0, -1, -1]


async def test_a_format_error_with_opt_is_the_answer() -> None:
    """Who sends OPT knows EDNS."""
    async with asking(lambda message, path: [response(message, rcode="FORMERR")]) as (server, tunnel):
        assert (await server.ask(asked(), SECONDS)).rcode == wire.FORMERR
        assert len(tunnel.asked) == 1


async def test_a_bare_error_is_an_answer_by_tcp() -> None:
    """With its code, after the attempt without EDNS."""
    async with asking(lambda message, path: [b"\0\0\x81\4\0\0\0\0\0\0\0\0"], "tcp") as (server, tunnel):
        answer = await server.ask(asked(), SECONDS)
        assert (answer.rcode, answer.path) == (wire.NOTIMP, "tcp")
        assert [message.edns for _, message in tunnel.asked] == [0, -1]


async def test_an_unusable_answer_is_a_failure() -> None:
    """As if there had been none."""
    async with asking(lambda message, path: [addresses(message)[0][:-12]]) as (server, _):
        with pytest.raises(UnusableError):
            await server.ask(asked(), SECONDS)
        assert (server.health.failed, server.health.resting) == (1, True)
        assert server.health.last_error is not None
        assert "malformed" in server.health.last_error


async def test_a_tunnel_that_is_down_is_a_failure_at_once() -> None:
    """Nothing is waited for."""
    async with asking(addresses) as (server, tunnel):
        tunnel.refusal = REFUSAL
        with pytest.raises(ServerError):
            await server.ask(asked(), SECONDS)
        assert tunnel.asked == []


async def test_our_own_overload_is_not_held_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answered."""

    async def overloaded(*_: object, **__: object) -> Any:
        raise OverloadedError("too much")

    async with asking(addresses) as (server, _):
        monkeypatch.setattr(server._digester, "digest", overloaded)
        with pytest.raises(OverloadedError):
            await server.ask(asked(), SECONDS)
        assert (server.health.failed, server.health.resting) == (0, False)


async def test_who_waited_long_enough_leaves_a_failure() -> None:
    """It counts as unanswered."""
    async with asking(silence) as (server, _):
        with pytest.raises(TimeoutError):
            await server.ask(asked(), 0.01)
        assert (server.health.failed, server.health.last_error) == (1, "no answer in time")


async def test_who_asks_no_more_says_nothing_about_it() -> None:
    """Another's answer was there first."""
    async with asking(silence) as (server, tunnel):
        task = asyncio.create_task(server.ask(asked(), SECONDS))
        await until(lambda: bool(tunnel.asked))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (server.health.failed, server.health.resting) == (0, False)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
async def test_in_another_network_it_is_asked_anew(scheme: UpstreamScheme) -> None:
    """By another flow or connection, and by UDP again where only TCP had worked."""
    async with asking(addresses, scheme) as (server, tunnel):
        await server.ask(asked(), SECONDS)
        server.health.note_failure(1e9, 1e9, "silence")
        if isinstance(server._way, UdpWay):
            server._way._stream_until = 1e9
        server.recover()
        assert not server.health.resting
        await server.ask(asked(), SECONDS)
        assert tunnel.paths == [scheme, scheme]
        assert len(tunnel.targets) == 2


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_so_it_is_where_it_is_encrypted(
    scheme: UpstreamScheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has been connected."""
    renewed: list[object] = []
    monkeypatch.setattr(StreamTransport, "renew", lambda _: renewed.append(1))
    config = UpstreamConfig(scheme, Endpoint("192.0.2.53", 53), tls=TlsConfig(name="dns.example"))
    server = Upstream(config, FakeTunnel(), Digester())
    server.recover()
    assert len(renewed) == 1
    await server.close()
