import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import pytest

from fakes.dns_tunnel import REFUSAL, FakeTunnel, Script, addresses, query, response, silence, truncated
from sockslocal.address import Endpoint
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.config.model import UpstreamScheme
from sockslocal.errors import ServerError
from sockslocal.resolver import upstream, wire
from sockslocal.resolver.ask_udp import MAX_MISMATCHES
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import OverloadedError, UnusableError
from sockslocal.resolver.upstream import MAX_REST_S, Health, Upstream
from sockslocal.resolver.wire import Query, parse_query

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
        answer = await server.ask(asked())
        assert (answer.rcode, answer.upstream, answer.path) == (
            wire.NOERROR,
            f"{scheme}://192.0.2.53:53",
            scheme,
        )
        assert tunnel.paths == [scheme]
        assert (server.health.answered, server.health.failed) == (1, 0)
        assert server.health.latency_s is not None


async def test_a_truncated_answer_is_asked_for_by_tcp() -> None:
    """Every time anew, as the next answer may fit (checklist 32)."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return [truncated(message)] if path == "udp" else addresses(message)

    async with asking(script) as (server, tunnel):
        for _ in range(2):
            answer = await server.ask(asked())
            assert (answer.path, answer.counts) == ("tcp", (1, 0, 0))
        assert tunnel.paths == ["udp", "tcp", "udp", "tcp"]


async def test_do_and_cd_are_passed_on_and_nothing_else_of_the_clients_edns() -> None:
    """Its cookie, its subnet and its size stay here (checklist 46, 54)."""
    async with asking(addresses) as (server, tunnel):
        options = [dns.edns.ECSOption("203.0.113.0", 24), dns.edns.CookieOption(b"12345678", b"")]
        flags = dns.flags.RD | dns.flags.CD
        await server.ask(asked(use_edns=0, want_dnssec=True, payload=4096, options=options, flags=flags))
        ((_, sent),) = tunnel.asked
        assert (sent.payload, sent.options) == (1232, ())
        assert sent.ednsflags & dns.flags.DO
        assert sent.flags & dns.flags.CD


async def test_an_upstream_that_is_silent_by_udp_is_asked_by_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for a while at once so; then by UDP again."""
    monkeypatch.setattr(upstream, "DATAGRAM_S", 0.01)

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return silence(message, path) if path == "udp" else addresses(message)

    async with asking(script) as (server, tunnel):
        assert (await server.ask(asked())).path == "tcp"
        assert (await server.ask(asked())).path == "tcp"
        assert tunnel.paths == ["udp", "tcp", "tcp"]
        server._stream_until = 0.0
        tunnel.script = addresses
        assert (await server.ask(asked())).path == "udp"


async def test_tcp_has_its_turn_however_little_time_there_is() -> None:
    """Where several upstreams share it, each has less than UDP has of a whole one."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        return silence(message, path) if path == "udp" else addresses(message)

    async with asking(script) as (server, _):
        async with asyncio.timeout(1.0):
            assert (await server.ask(asked(), 1.0)).path == "tcp"


async def test_where_the_server_has_no_udp_tcp_is_used() -> None:
    """At once, as the tunnel says so."""

    def refused(*_: object) -> Any:
        raise ServerError.of("udp-unsupported", address="proxy.example:1080", phrase="command not supported")

    async with asking(addresses) as (server, tunnel):
        tunnel.open_flow = refused  # type: ignore[assignment]
        assert (await server.ask(asked())).path == "tcp"


async def test_forged_answers_lead_to_tcp() -> None:
    """None of them is believed, and the true one arrives (checklist 70)."""

    def script(message: dns.message.Message, path: str) -> list[bytes]:
        if path == "tcp":
            return addresses(message)
        message.question[0].name = dns.name.from_text("other.example")
        return [response(message, "other.example A 203.0.113.66")] * MAX_MISMATCHES

    async with asking(script) as (server, _):
        answer = await server.ask(asked())
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
            assert (await server.ask(asked(use_edns=0, want_dnssec=True))).counts == (1, 0, 0)
        assert [message.edns for _, message in tunnel.asked] == [0, -1, -1]


async def test_a_format_error_with_opt_is_the_answer() -> None:
    """Who sends OPT knows EDNS."""
    async with asking(lambda message, path: [response(message, rcode="FORMERR")]) as (server, tunnel):
        assert (await server.ask(asked())).rcode == wire.FORMERR
        assert len(tunnel.asked) == 1


async def test_a_bare_error_is_an_answer_by_tcp() -> None:
    """With its code, after the attempt without EDNS."""
    async with asking(lambda message, path: [b"\0\0\x81\4\0\0\0\0\0\0\0\0"], "tcp") as (server, tunnel):
        answer = await server.ask(asked())
        assert (answer.rcode, answer.path) == (wire.NOTIMP, "tcp")
        assert [message.edns for _, message in tunnel.asked] == [0, -1]


async def test_an_unusable_answer_is_a_failure() -> None:
    """As if there had been none."""
    async with asking(lambda message, path: [addresses(message)[0][:-12]]) as (server, _):
        with pytest.raises(UnusableError):
            await server.ask(asked())
        assert (server.health.failed, server.health.resting) == (1, True)
        assert server.health.last_error is not None
        assert "malformed" in server.health.last_error


async def test_a_tunnel_that_is_down_is_a_failure_at_once() -> None:
    """Nothing is waited for."""
    async with asking(addresses) as (server, tunnel):
        tunnel.refusal = REFUSAL
        with pytest.raises(ServerError):
            await server.ask(asked())
        assert tunnel.asked == []


async def test_our_own_overload_is_not_held_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answered."""

    async def overloaded(*_: object, **__: object) -> Any:
        raise OverloadedError("too much")

    async with asking(addresses) as (server, _):
        monkeypatch.setattr(server._digester, "digest", overloaded)
        with pytest.raises(OverloadedError):
            await server.ask(asked())
        assert (server.health.failed, server.health.resting) == (0, False)


async def test_who_waited_long_enough_leaves_a_failure() -> None:
    """A cancelled query counts as unanswered."""
    async with asking(silence) as (server, _):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.ask(asked()), 0.01)
        assert (server.health.failed, server.health.last_error) == (1, "no answer in time")


def test_rest_doubles_up_to_a_minute_and_ends_with_an_answer() -> None:
    """Failures within one rest count once."""
    health = Health()
    now = 0.0
    for rest in (1, 2, 4, 8, 16, 32, MAX_REST_S, MAX_REST_S):
        health.note_failure(now, now, "silence")
        assert health.resting
        now += rest
        health.note_failure(now - 0.1, now - 0.1, "silence")
        assert not health.is_due(now - 0.01)
        assert health.is_due(now)
    health.note_answer(now, now + 0.5)
    assert not health.resting
    assert health.is_due(now)


def test_after_a_rest_one_query_is_the_probe() -> None:
    """The others go elsewhere until its outcome is known."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    assert not health.is_due(1.0)
    assert [health.is_due(2.0) for _ in range(3)] == [True] * 3
    health.note_query(2.0)
    assert not health.is_due(2.0)
    health.note_failure(2.0, 3.0, "silence")
    assert not health.is_due(4.9)
    assert health.is_due(5.1)
    health.note_query(5.1)
    health.note_nothing()
    assert health.is_due(5.1)


def test_a_query_within_the_rest_is_no_probe() -> None:
    """It had to be asked as nobody else answered; when its rest ends it is due all the same."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    health.note_query(1.0)
    assert health.is_due(2.0)


def test_a_rest_that_an_answer_ended_excuses_nothing() -> None:
    """What fails after that answer is a failure of its own, though the old rest would not be over yet."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    health.note_answer(0.6, 0.7)
    health.note_failure(0.8, 0.9, "silence")
    assert health.resting
    assert not health.is_due(1.8)
    assert health.is_due(2.0)


def test_an_answer_in_the_meantime_excuses_a_failure() -> None:
    """It was the question then, not the upstream."""
    health = Health()
    health.note_answer(1.0, 1.1)
    health.note_failure(0.5, 2.5, "silence")
    assert (health.failed, health.resting) == (1, False)


def test_latency_is_smoothed() -> None:
    """One slow answer does not make a slow upstream."""
    health = Health()
    health.note_answer(0.0, 0.1)
    health.note_answer(0.0, 0.9)
    assert health.latency_s == pytest.approx(0.2)
