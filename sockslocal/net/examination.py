"""Finds out what a server does that others do not: a few seconds of tests, each on a fresh connection.

Nothing is sent that could hurt a server, and the password goes only where a login goes. It is tried by itself
first: with one that is rejected all else is left alone.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig
from sockslocal.net.engine import Engine
from sockslocal.net.entry import enter, find
from sockslocal.net.probe_datagrams import DatagramTests, Obstacle, find_obstacle
from sockslocal.net.probe_handshakes import (
    LONGEST_S,
    Manner,
    Trial,
    bears,
    connect_plainly,
    find_methods,
    ipv6_from,
    keeps_early_data,
    try_connect,
)
from sockslocal.net.probing import Access
from sockslocal.net.profile import Profile
from sockslocal.net.rungs import Rung, rungs_for
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.way import Way
from sockslocal.socks5.messages import Reply
from sockslocal.socks5.udp_over_tcp import FRAMINGS

ENTRY_S = 3.5
"""Seconds to get to the server and in."""

WHOLE_S = 4.0
"""Seconds for all; what is not known by then stays unknown."""

QUESTION_S = 0.8
"""Seconds at most until a datagram counts as lost."""

_TWINS = {
    "127.0.0.1": "::1",
    "9.9.9.9": "2620:fe::fe",
    "1.1.1.1": "2606:4700:4700::1111",
    "8.8.8.8": "2001:4860:4860::8888",
}
"""DNS servers that are known to have an IPv6 address too, which shows whether IPv6 passes."""


class Findings(NamedTuple):
    """What an examination found out, in so many seconds.

    `target` is what came of the connection to `udp_probe`, None where that is off; `udp_obstacle` is why no
    datagrams pass, where they do not, as RemoteError.phrase is, and `no_associate` whether that is for good.
    """

    profile: Profile
    target: Trial | None
    udp_obstacle: str | None
    seconds: float
    no_associate: bool = False


def twin_of(remote: Endpoint) -> Endpoint | None:
    """An IPv6 address of what is at `remote`, if one is known."""
    host = remote.host if ":" in remote.host else _TWINS.get(remote.host)
    return None if host is None else remote._replace(host=host)


async def examine(engine: Engine, way: Way, config: ServerConfig) -> Findings:
    """Examine the server at the end of `way`. Raises ServerError where nobody gets that far."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    access = Access(*await enter(engine, way, ENTRY_S), LONGEST_S, way.tls)
    examination = _Examination(engine, config, access)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(began + WHOLE_S):
            await examination.run()
    return examination.findings(loop.time() - began)


class _Examination:
    """One run; what is known at any moment is in `profile`."""

    def __init__(self, engine: Engine, config: ServerConfig, access: Access) -> None:
        self._engine = engine
        self._config = config
        self._access = access
        self._remote = config.udp_probe
        self._rungs = rungs_for(config.udp, tls=config.tls is not None)
        self._plain = Trial()
        self._obstacle: Obstacle | None = None
        self.profile = Profile(tested_at=time.time())

    def learn(self, **facts: object) -> None:
        self.profile = self.profile.replace(**facts)

    def findings(self, seconds: float) -> Findings:
        round_trip_s = self._access.round_trip_s
        if round_trip_s is not None:
            self.learn(rtt_ms=round(1000 * round_trip_s, 3))
        target = None if self._remote is None else self._plain
        obstacle = self._obstacle
        return Findings(
            self.profile,
            target,
            obstacle and obstacle.phrase,
            seconds,
            no_associate=obstacle is not None and obstacle.unsupported,
        )

    async def run(self) -> None:
        """All tests. One that goes as each server expects comes first, for the others to be held against.

        What forbids that one may be a wrong password that the server tells of only now, so then no more is
        asked than whether datagrams are forbidden too.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._find_methods(), name="examination: methods")
            if self._remote is not None:
                group.create_task(self._connect_plainly(self._remote), name="examination: plain")
        async with asyncio.TaskGroup() as group:
            if self._rungs:
                group.create_task(self._examine_datagrams(), name="examination: datagrams")
            if self._remote is not None and self._plain.code != Reply.NOT_ALLOWED:
                for test in self._handshakes(self._remote):
                    group.create_task(test, name="examination: handshake")

    async def _find_methods(self) -> None:
        self.learn(methods=await find_methods(self._access))

    async def _connect_plainly(self, remote: Endpoint) -> None:
        self._plain = await connect_plainly(self._access, remote)

    def _handshakes(self, remote: Endpoint) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._try(remote, Manner.SPLIT, "split", bears)
        yield self._try(remote, Manner.PIPELINED, "pipelined", bears)
        if self._access.credentials is not None:
            yield self._try(remote, Manner.SEMI_PIPELINED, "semi_pipelined", bears)
        yield self._try(remote, Manner.OPTIMISTIC, "optimistic", keeps_early_data)
        twin = twin_of(remote)
        if twin is not None:
            yield self._try(twin, Manner.PLAIN, "ipv6", ipv6_from)

    async def _try(
        self, remote: Endpoint, manner: Manner, fact: str, judge: Callable[[Trial, Trial], object]
    ) -> None:
        trial = await try_connect(self._access, remote, manner)
        self.learn(**{fact: judge(self._plain, trial)})

    async def _examine_datagrams(self) -> None:
        """Climb down the ladder until datagrams pass, as far as the configuration has it."""
        associates = Rung.GIVEN in self._rungs
        if self._remote is None:
            self._obstacle = await find_obstacle(self._access) if associates else None
            if self._obstacle is not None and self._obstacle.unsupported and not self._may_stream:
                self.learn(rung="none")
            return
        tests = await self._datagram_tests(self._remote)
        if associates:
            self._obstacle = await tests.try_association()
            if self._obstacle is None:
                return
        if self._plain.code == Reply.NOT_ALLOWED or not await self._try_streams(tests):
            self._conclude()

    @property
    def _may_stream(self) -> bool:
        return any(rung.framing for rung in self._rungs)

    async def _datagram_tests(self, remote: Endpoint) -> DatagramTests:
        host, override = self._config.udp_address, None
        if host is not None:
            addresses = await find(ServerAddresses(Endpoint(host, 1), self._engine.clock))
            override = None if isinstance(addresses, OSError) else addresses[0][1][0]
        return DatagramTests(
            access=self._access,
            remote=remote,
            twin=twin_of(remote),
            override=override,
            seconds=min(QUESTION_S, self._access.patience_s),
            learn=self.learn,
        )

    async def _try_streams(self, tests: DatagramTests) -> bool:
        """UDP over TCP in all formats at once; the first of them in the order of the ladder counts."""
        framings = [FRAMINGS[rung.framing] for rung in self._rungs if rung.framing]
        found: list[dict[str, object]] = [{} for _ in framings]
        try:
            async with asyncio.TaskGroup() as group:
                trials = [
                    group.create_task(replace(tests, learn=facts.update).try_stream(framing))
                    for framing, facts in zip(framings, found, strict=True)
                ]
                for trial in trials:
                    if await trial:
                        break
                for trial in trials:
                    trial.cancel()
        finally:  # also when the time is over
            self.learn(**next(filter(None, found), {}))
        return self.profile.rung is not None

    def _conclude(self) -> None:
        """No datagrams passed: for the server's sake, or because nobody was there to answer them."""
        if self._obstacle is None:
            self._obstacle = Obstacle("it takes no UDP over TCP", silent=True)
        if self._plain.answered or not self._obstacle.silent:
            self.learn(rung="none")
