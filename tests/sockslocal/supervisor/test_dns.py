import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from fakes.engine import run as run_engine
from fakes.engine import until
from sockslocal.address import Endpoint
from sockslocal.config.model import Block, DnsConfig, DnsPolicy, DnsRule, Upstream
from sockslocal.errors import ControlError
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.resolver import Memory
from sockslocal.supervisor import dns
from sockslocal.supervisor.dns import DnsService

CONFIG = DnsConfig(
    listen=(Endpoint("127.0.0.1", 0),),
    upstreams=(Upstream("udp", Endpoint("192.0.2.53", 53)),),
    servers=("office",),
)


def run(test: Callable[[DnsService, set[asyncio.Task[None]]], Awaitable[None]]) -> None:
    """Run `test` with a resolver whose server is not there."""

    async def main(engine: Engine) -> None:
        endings: set[asyncio.Task[None]] = set()
        await test(DnsService(engine, CONFIG, Route({}, CONFIG.servers), endings, Memory()), endings)
        await until(lambda: not endings, "what was closed has ended")

    run_engine(main)


def test_there_is_no_resolver_while_it_is_off() -> None:
    """Whoever asks for it is told; what is shown comes from the configuration."""

    async def test(service: DnsService, endings: set[asyncio.Task[None]]) -> None:
        with pytest.raises(ControlError) as caught:
            _ = service.resolver
        assert caught.value.problem.code == "dns-off"
        shown = service.snapshot("off", None)
        assert (shown.listen, shown.server, shown.state, shown.queries) == ("127.0.0.1:0", "office", "off", 0)
        service.close()
        assert not endings

    run(test)


def test_it_is_made_anew_each_time() -> None:
    """Its port is free as soon as it is closed; its end goes on in a task that its owner knows."""

    async def test(service: DnsService, endings: set[asyncio.Task[None]]) -> None:
        service.open()
        first = service.resolver
        shown = service.snapshot("listening", None)
        assert shown.listen == str(first.endpoints[0])
        assert (shown.server, shown.state, shown.problem) == ("office", "listening", None)
        service.close()
        assert len(endings) == 1
        service.open()
        assert service.resolver is not first
        service.close()
        assert len(endings) == 2

    run(test)


def test_its_own_problem_is_shown() -> None:
    """Unless the supervisor has a graver one; not any more once it was switched off."""

    async def test(service: DnsService, _: set[asyncio.Task[None]]) -> None:
        service.open()
        result = await service.resolver.query("www.example", "A")
        assert result.rcode == "SERVFAIL"
        shown = service.snapshot("listening", None)
        assert shown.problem is not None
        assert shown.problem.code == "dns-no-upstream"
        graver = ControlError.of("dns-off").problem
        assert service.snapshot("error", graver).problem is graver
        service.close()
        assert service.snapshot("off", None).problem is None
        service.open()
        assert service.snapshot("listening", None).problem is None
        service.close()

    run(test)


def test_what_has_the_system_ask_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the journal's word on the port that it listens on."""
    monkeypatch.setattr(
        dns, "SystemMethod", lambda ports, _: SimpleNamespace(now=f"a test at {sorted(ports)}")
    )

    async def test(service: DnsService, endings: set[asyncio.Task[None]]) -> None:
        service.open()
        assert service.snapshot("listening", None).system == "a test at [0]"
        service.close()

    run(test)


def test_only_who_listens_or_asks_elsewhere_is_another_resolver() -> None:
    """Whatever else is new, its listeners stay."""

    async def test(service: DnsService, endings: set[asyncio.Task[None]]) -> None:
        blocking = DnsPolicy(rules=(DnsRule("ads.example", Block()),))
        assert service.update(dataclasses.replace(CONFIG, policy=blocking))
        service.open()
        first = service.resolver
        assert (await first.query("ads.example", "A")).rcode == "NXDOMAIN"
        null = dataclasses.replace(CONFIG, policy=dataclasses.replace(blocking, blocked="null"))
        assert service.update(null)
        assert service.resolver is first
        assert (await first.query("ads.example", "A")).answer == ("ads.example. 60 IN A 0.0.0.0",)
        fewer = dataclasses.replace(null, cache=0, stale=0.0, prefetch=False, keep=True)
        assert service.update(fewer)
        assert service.resolver is first
        assert first.details().cache_entries == 0
        assert not service.update(dataclasses.replace(fewer, listen=()))
        assert not service.update(dataclasses.replace(fewer, upstreams=()))
        assert not service.update(dataclasses.replace(fewer, servers=()))
        assert not service.update(dataclasses.replace(fewer, enabled=False))
        assert not service.update(None)
        service.close()
        assert len(endings) == 1

    run(test)
