import asyncio
from collections.abc import Awaitable, Callable

import dns.message
import pytest

from fakes import loops
from fakes.dns_tunnel import REFUSAL, FakeTunnel, Script, addresses, query, response, silence
from sockslocal.address import Endpoint
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.resolver import upstreams, wire
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import NoUpstreamError, OverloadedError
from sockslocal.resolver.upstreams import Upstreams
from sockslocal.resolver.wire import parse_query

QUERY = parse_query(query().to_wire())
FIRST, SECOND = Endpoint("192.0.2.53", 53), Endpoint("198.51.100.53", 53)
NAMES = [f"tcp://{FIRST}", f"tcp://{SECOND}"]


class TwoServers(FakeTunnel):
    """Two DNS servers, each with a script of its own."""

    def __init__(self, first: Script, second: Script) -> None:
        super().__init__()
        self.behind = {FIRST: FakeTunnel(first), SECOND: FakeTunnel(second)}

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.behind[target].refusal = self.refusal
        return await self.behind[target].open_stream(target)

    async def close(self) -> None:
        for tunnel in self.behind.values():
            await tunnel.close()


def run(
    test: Callable[[Upstreams, TwoServers], Awaitable[None]], first: Script, second: Script = addresses
) -> None:
    """Run `test` with two upstreams that play the scripts."""

    async def main() -> None:
        tunnel = TwoServers(first, second)
        servers = Upstreams(tuple(UpstreamConfig("tcp", target) for target in (FIRST, SECOND)), tunnel)
        try:
            await test(servers, tunnel)
        finally:
            await servers.close()
            await tunnel.close()

    loops.run(main())


def failing(message: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server that cannot answer."""
    return [response(message, rcode="SERVFAIL")]


def refusing(message: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server that does not want to."""
    return [response(message, rcode="REFUSED")]


def test_the_first_is_asked_while_it_answers() -> None:
    """The second never hears of it: not every upstream need know every name."""

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        for _ in range(3):
            assert (await servers.ask(QUERY)).upstream == NAMES[0]
        assert tunnel.behind[SECOND].targets == []

    run(test, addresses)


def test_the_next_is_asked_when_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its share of the time; and then first, while the silent one rests."""
    monkeypatch.setattr(upstreams, "ATTEMPT_S", 0.2)

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        for _ in range(3):
            assert (await servers.ask(QUERY)).upstream == NAMES[1]
        assert len(tunnel.behind[FIRST].asked) == 1

    run(test, silence)


def test_a_failure_is_an_answer_only_if_nobody_has_a_better_one() -> None:
    """SERVFAIL from one, the address from the other."""

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        answer = await servers.ask(QUERY)
        assert (answer.rcode, answer.upstream) == (wire.NOERROR, NAMES[1])

    run(test, failing)


def test_the_first_failure_told_is_the_answer_where_all_fail() -> None:
    """Both were asked, once."""

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        assert (await servers.ask(QUERY)).rcode == wire.REFUSED
        assert [len(server.asked) for server in tunnel.behind.values()] == [1, 1]
        assert servers.problem is None

    run(test, refusing, failing)


def test_silence_of_all_is_told_with_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the status until one of them answers; a silent name may be remembered as failing."""
    monkeypatch.setattr(upstreams, "ATTEMPT_S", 0.2)
    monkeypatch.setattr(upstreams, "TOTAL_S", 0.4)

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        with pytest.raises(NoUpstreamError) as error:
            await servers.ask(QUERY)
        assert not error.value.transient
        assert servers.problem == error.value.problem
        assert error.value.problem.code == "dns-no-upstream"
        assert all(f"{name}: no answer in time" in error.value.problem.text for name in NAMES)
        for server in tunnel.behind.values():
            server.script = addresses
        await servers.ask(QUERY)
        assert servers.problem is None

    run(test, silence, silence)


def test_a_tunnel_that_is_down_says_nothing_about_the_name() -> None:
    """Told at once, and works again at once (checklist 45)."""

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        tunnel.refusal = REFUSAL
        for _ in range(3):
            with pytest.raises(NoUpstreamError, match="connection refused") as error:
                await servers.ask(QUERY)
            assert error.value.transient
        tunnel.refusal = None
        assert (await servers.ask(QUERY)).rcode == wire.NOERROR

    run(test, addresses)


def test_our_own_overload_is_no_problem_of_the_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status does not blame them."""

    async def overloaded(*_: object, **__: object) -> None:
        raise OverloadedError("too many large messages at once")

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        monkeypatch.setattr(Digester, "digest", overloaded)
        with pytest.raises(NoUpstreamError) as error:
            await servers.ask(QUERY)
        assert error.value.transient
        assert servers.problem is None

    run(test, addresses)


def test_a_rested_upstream_is_tried_with_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others do not wait for the outcome."""
    monkeypatch.setattr(upstreams, "ATTEMPT_S", 0.2)

    async def test(servers: Upstreams, tunnel: TwoServers) -> None:
        await servers.ask(QUERY)
        servers.all[0].health._rest_until = 0.0
        answers = await asyncio.gather(*(servers.ask(QUERY) for _ in range(10)))
        assert {answer.upstream for answer in answers} == {NAMES[1]}
        assert len(tunnel.behind[FIRST].asked) == 2

    run(test, silence)
