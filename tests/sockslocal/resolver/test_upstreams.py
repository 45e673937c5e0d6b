import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import dns.message
import pytest

from fakes.dns_tunnel import REFUSAL, FakeTunnel, Script, addresses, query, response, silence
from fakes.loops import QuickLoop
from sockslocal.address import Endpoint
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.resolver import upstreams, wire
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import NoUpstreamError, OverloadedError
from sockslocal.resolver.health import HEDGE_S, MAX_OVERTAKEN, REMEASURE_S
from sockslocal.resolver.upstream import Upstream
from sockslocal.resolver.upstreams import Upstreams
from sockslocal.resolver.wire import parse_query

pytestmark = pytest.mark.usefixtures("quick_loop")

QUERY = parse_query(query().to_wire())
FIRST, SECOND = Endpoint("192.0.2.53", 53), Endpoint("198.51.100.53", 53)
THIRD = Endpoint("203.0.113.53", 53)
NAMES = [f"tcp://{FIRST}", f"tcp://{SECOND}", f"tcp://{THIRD}"]


class Servers(FakeTunnel):
    """DNS servers, each with a script of its own."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__()
        targets = (FIRST, SECOND, THIRD)[: len(scripts)]
        self.behind = {target: FakeTunnel(script) for target, script in zip(targets, scripts, strict=True)}

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.behind[target].refusal = self.refusal
        return await self.behind[target].open_stream(target)

    async def close(self) -> None:
        for tunnel in self.behind.values():
            await tunnel.close()


@asynccontextmanager
async def asking(
    first: Script, second: Script = addresses, *third: Script
) -> AsyncIterator[tuple[Upstreams, Servers]]:
    """Upstreams that play the scripts, two or three."""
    tunnel = Servers(first, second, *third)
    servers = Upstreams(tuple(UpstreamConfig("tcp", target) for target in tunnel.behind), tunnel)
    try:
        yield servers, tunnel
    finally:
        await servers.close()
        await tunnel.close()


def failing(message: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server that cannot answer."""
    return [response(message, rcode="SERVFAIL")]


def refusing(message: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server that does not want to."""
    return [response(message, rcode="REFUSED")]


def answered(upstream: Upstream, seconds: float) -> None:
    """It was asked just now, and took so long."""
    now = asyncio.get_running_loop().time()
    upstream.health.note_query(now - seconds)
    upstream.health.note_answer(now - seconds, now)


async def test_each_is_asked_once_and_then_the_fastest() -> None:
    """Nobody knows before how fast they are."""
    async with asking(addresses, addresses, addresses) as (servers, _):
        assert [(await servers.ask(QUERY)).upstream for _ in range(3)] == NAMES
        for upstream, seconds in zip(servers.all, (0.3, 0.1, 0.2), strict=True):
            upstream.health.latency_s = seconds
        for _ in range(3):
            assert (await servers.ask(QUERY)).upstream == NAMES[1]


async def test_a_slow_one_is_tried_now_and_then(quick_loop: QuickLoop) -> None:
    """It may have become the fastest."""
    async with asking(addresses) as (servers, _):
        answered(servers.all[0], 0.1)
        answered(servers.all[1], 0.2)
        quick_loop.advance(REMEASURE_S / 2)
        assert (await servers.ask(QUERY)).upstream == NAMES[0]
        quick_loop.advance(REMEASURE_S / 2)
        assert [(await servers.ask(QUERY)).upstream for _ in range(2)] == [NAMES[1], NAMES[0]]


async def test_another_is_asked_when_one_takes_long() -> None:
    """The first of both that answers counts, and the slow one is known to be slow (a hedge)."""
    async with asking(silence) as (servers, tunnel):
        first, second = servers.all
        answered(first, 0.01)
        answered(second, 0.02)
        started = asyncio.get_running_loop().time()
        assert (await servers.ask(QUERY)).upstream == NAMES[1]
        assert asyncio.get_running_loop().time() - started == pytest.approx(HEDGE_S)
        assert (first.health.failed, first.health.resting) == (0, False)
        assert first.health.latency_s == pytest.approx(0.01 * 7 / 8 + HEDGE_S / 8)
        assert (await servers.ask(QUERY)).upstream == NAMES[1]
        assert len(tunnel.behind[FIRST].asked) == 1


async def test_a_slow_one_has_twice_its_usual_time() -> None:
    """Before another is asked too."""
    async with asking(silence) as (servers, _):
        first, second = servers.all
        answered(first, 1.0)
        answered(second, 1.1)
        started = asyncio.get_running_loop().time()
        await servers.ask(QUERY)
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.0)


async def test_who_is_always_overtaken_rests() -> None:
    """As it may well be dead."""
    async with asking(silence) as (servers, _):
        first, second = servers.all
        second.health.latency_s = 100.0
        for _ in range(MAX_OVERTAKEN):
            first.health.latency_s = 0.0
            second.health.note_query(asyncio.get_running_loop().time())
            assert (await servers.ask(QUERY)).upstream == NAMES[1]
        assert (first.health.failed, first.health.resting) == (1, True)


async def test_plain_udp_is_asked_last() -> None:
    """Where there is a choice: the others' answers are harder to forge (RFC 5452 §9)."""
    tunnel = FakeTunnel()
    configs = (UpstreamConfig("udp", FIRST), UpstreamConfig("tcp", SECOND))
    servers = Upstreams(configs, tunnel)
    servers.all[1].health.latency_s = 1.0
    assert [(await servers.ask(QUERY)).upstream for _ in range(3)] == [NAMES[1]] * 3
    tunnel.script = lambda asked, path: silence(asked, path) if path == "tcp" else addresses(asked)
    started = asyncio.get_running_loop().time()
    assert (await servers.ask(QUERY)).path == "udp"
    assert asyncio.get_running_loop().time() - started == pytest.approx(upstreams.TOTAL_S / 2)
    await servers.close()
    await tunnel.close()


async def test_the_next_is_asked_when_one_is_silent() -> None:
    """Even where it rests itself, after a share of the time."""
    async with asking(silence) as (servers, tunnel):
        now = asyncio.get_running_loop().time()
        servers.all[1].health.note_failure(now, now, "silence")
        servers.all[1].health._rest_until = now + 100
        assert (await servers.ask(QUERY)).upstream == NAMES[1]
        assert len(tunnel.behind[FIRST].asked) == 1


async def test_a_failure_is_an_answer_only_if_nobody_has_a_better_one() -> None:
    """SERVFAIL from one, the address from the other."""
    async with asking(failing) as (servers, _):
        answer = await servers.ask(QUERY)
        assert (answer.rcode, answer.upstream) == (wire.NOERROR, NAMES[1])


async def test_the_first_failure_told_is_the_answer_where_all_fail() -> None:
    """Both were asked, once."""
    async with asking(refusing, failing) as (servers, tunnel):
        assert (await servers.ask(QUERY)).rcode == wire.REFUSED
        assert [len(server.asked) for server in tunnel.behind.values()] == [1, 1]
        assert servers.problem is None


async def test_silence_of_all_is_told_with_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the status until one of them answers; a silent name may be remembered as failing."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.4)

    async with asking(silence, silence) as (servers, tunnel):
        with pytest.raises(NoUpstreamError) as error:
            await servers.ask(QUERY)
        assert not error.value.transient
        assert servers.problem == error.value.problem
        assert error.value.problem.code == "dns-no-upstream"
        assert all(f"{name}: no answer in time" in error.value.problem.text for name in NAMES[:2])
        for server in tunnel.behind.values():
            server.script = addresses
        await servers.ask(QUERY)
        assert servers.problem is None


async def test_a_tunnel_that_is_down_says_nothing_about_the_name() -> None:
    """Told at once, and works again at once (checklist 45)."""
    async with asking(addresses) as (servers, tunnel):
        tunnel.refusal = REFUSAL
        for _ in range(3):
            with pytest.raises(NoUpstreamError, match="connection refused") as error:
                await servers.ask(QUERY)
            assert error.value.transient
        tunnel.refusal = None
        assert (await servers.ask(QUERY)).rcode == wire.NOERROR


async def test_our_own_overload_is_no_problem_of_the_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status does not blame them."""

    async def overloaded(*_: object, **__: object) -> None:
        raise OverloadedError("too many large messages at once")

    async with asking(addresses) as (servers, _):
        monkeypatch.setattr(Digester, "digest", overloaded)
        with pytest.raises(NoUpstreamError) as error:
            await servers.ask(QUERY)
        assert error.value.transient
        assert servers.problem is None


async def test_a_rested_upstream_is_tried_with_one_query() -> None:
    """The others do not wait for the outcome."""
    async with asking(silence) as (servers, tunnel):
        first, second = servers.all
        answered(first, 0.01)
        answered(second, 0.02)
        first.health.note_failure(0.0, 0.0, "silence")
        first.health.resting = True
        answers = await asyncio.gather(*(servers.ask(QUERY) for _ in range(10)))
        assert {answer.upstream for answer in answers} == {NAMES[1]}
        assert len(tunnel.behind[FIRST].asked) == 1


async def test_all_have_their_turn() -> None:
    """The third as well, after two that are silent."""
    async with asking(silence, silence, addresses) as (servers, _):
        assert (await servers.ask(QUERY)).upstream == NAMES[2]


async def test_who_has_no_time_left_is_not_asked(
    quick_loop: QuickLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is not blamed either; as when the machine was too busy for its loop."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.3)

    def busy(*_: object) -> list[bytes]:
        quick_loop.advance(0.25)
        return []

    async with asking(busy, silence) as (servers, _):
        with pytest.raises(NoUpstreamError, match=f"{NAMES[0]}: no answer in time$"):
            await servers.ask(QUERY)
        assert [upstream.health.failed for upstream in servers.all] == [1, 0]


async def test_a_rested_upstream_that_was_not_needed_is_still_due() -> None:
    """While others answer it is not asked, and that is no probe: when they fail it is the first."""
    async with asking(addresses, addresses, addresses) as (servers, tunnel):
        first, second, third = (upstream.health for upstream in servers.all)
        third.note_failure(0.0, 0.0, "silence")
        assert (await servers.ask(QUERY)).upstream == NAMES[0]
        now = asyncio.get_running_loop().time() + 0.1
        for health in (first, second):
            health.note_failure(now, now, "silence")
        assert (await servers.ask(QUERY)).upstream == NAMES[2]
        assert [len(server.asked) for server in tunnel.behind.values()] == [1, 0, 1]
        assert not third.resting


async def test_after_an_overload_of_ours_a_rested_upstream_is_still_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The probe has told nothing, so there is another."""

    async def overloaded(*_: object, **__: object) -> None:
        raise OverloadedError("too many large messages at once")

    async with asking(addresses) as (servers, _):
        servers.all[0].health.note_failure(0.0, 0.0, "silence")
        with monkeypatch.context() as patched:
            patched.setattr(Digester, "digest", overloaded)
            with pytest.raises(NoUpstreamError):
                await servers.ask(QUERY)
        assert servers.all[0].health.is_due(asyncio.get_running_loop().time())
        assert (await servers.ask(QUERY)).upstream == NAMES[0]


async def test_failures_leave_no_cycles() -> None:
    """In an outage there are hundreds a second, and the collector comes seldom: none is kept for it."""

    async def hang(_target: Endpoint) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        async with asking(silence, silence) as (servers, tunnel):
            tunnel.open_stream = hang  # type: ignore[assignment]
            for _ in range(10):
                with suppress(NoUpstreamError):  # pytest.raises would keep it
                    await servers.ask(QUERY)
            assert [upstream.health.failed for upstream in servers.all] == [10, 10]
            await asyncio.sleep(0)
            assert gc.collect() == 0
    finally:
        gc.enable()
