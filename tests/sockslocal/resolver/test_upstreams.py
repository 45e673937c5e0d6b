import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.message
import pytest

from fakes.dns_tunnel import REFUSAL, FakeTunnel, Script, addresses, query, response, silence
from fakes.loops import QuickLoop
from sockslocal.address import Endpoint
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.resolver import upstreams, wire
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import NoUpstreamError, OverloadedError
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


async def test_the_first_is_asked_while_it_answers() -> None:
    """The second never hears of it: not every upstream need know every name."""
    async with asking(addresses) as (servers, tunnel):
        for _ in range(3):
            assert (await servers.ask(QUERY)).upstream == NAMES[0]
        assert tunnel.behind[SECOND].targets == []


async def test_the_next_is_asked_when_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its share of the time; and then first, while the silent one rests."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.4)

    async with asking(silence) as (servers, tunnel):
        for _ in range(3):
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


async def test_a_rested_upstream_is_tried_with_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do not wait for the outcome."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.4)

    async with asking(silence) as (servers, tunnel):
        await servers.ask(QUERY)
        servers.all[0].health._rest_until = 0.0
        answers = await asyncio.gather(*(servers.ask(QUERY) for _ in range(10)))
        assert {answer.upstream for answer in answers} == {NAMES[1]}
        assert len(tunnel.behind[FIRST].asked) == 2


async def test_each_has_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third as well, after two that are silent; all of what is left is the last one's."""
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.6)

    async with asking(silence, silence, addresses) as (servers, _):
        assert (await servers.ask(QUERY)).upstream == NAMES[2]
        assert [upstream.health.resting for upstream in servers.all] == [True, True, False]


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
