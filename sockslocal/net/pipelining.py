"""Finds out how much of a handshake a server bears at once, beside what it has to do anyway."""

import asyncio
from contextlib import suppress
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig
from sockslocal.errors import ServerError
from sockslocal.net.backoff import Backoff
from sockslocal.net.engine import Engine
from sockslocal.net.entry import enter
from sockslocal.net.probe_handshakes import LONGEST_S, Manner, bears, connect_plainly, try_connect
from sockslocal.net.probing import Access
from sockslocal.net.profile import Profile
from sockslocal.net.way import Way
from sockslocal.socks5.client import Pipelining

FIRST_PAUSE_S, LAST_PAUSE_S = 60.0, 3600.0
"""At least so long, doubling, between two looks at one server."""

ENTRY_S = 10.0
"""Seconds to get to the server and in."""


class Learner(Protocol):
    """The server, as far as it is needed here."""

    way: Way
    config: ServerConfig
    profile: Profile

    def learn(self, **facts: object) -> None:
        """Note in the profile what was found out."""


class PipeliningScout:
    """Has the way to a server pipeline what the server has just been seen to bear.

    It looks when the server has granted a request; and again when what it bore is in doubt, or the server was
    away, for another one may have come in its place. Four connections at most; the request is for what
    `udp_probe` names, and where that is nothing, nothing is pipelined.
    """

    def __init__(self, engine: Engine, server: Learner) -> None:
        self.settled = False
        """Whether it is known, and nothing speaks against it."""
        self._engine = engine
        self._server = server
        self._backoff = Backoff(FIRST_PAUSE_S, LAST_PAUSE_S)
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    def granted(self) -> None:
        """The server works: what is not known is looked at now, if it was not a short while ago."""
        target = self._server.config.udp_probe
        if self.settled or self._task is not None or target is None:
            return
        now = self._engine.clock()
        if now >= self._not_before:
            self._not_before = now + self._backoff.next()
            self._task = asyncio.get_running_loop().create_task(self._look(target), name="pipelining")

    def settle(self) -> None:
        """What the profile says has just been seen."""
        self.settled = self._server.profile.pipelined is not None
        self._server.way.pipelining = self._server.profile.pipelining
        if self.settled:
            self._backoff.reset()

    def doubt(self) -> None:
        """The server may not bear it after all, or not be the same."""
        self.settled = False
        self._server.way.pipelining = Pipelining.NONE

    def close(self) -> None:
        self.doubt()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self, target: Endpoint) -> None:
        try:
            with suppress(ServerError):
                self._server.learn(**await self._found(target))
                self.settle()
        finally:
            self._task = None

    async def _found(self, target: Endpoint) -> dict[str, bool | None]:
        way = self._server.way
        access = Access(*await enter(self._engine, way, ENTRY_S), LONGEST_S, way.tls)
        plain = await connect_plainly(access, target)
        full = bears(plain, await try_connect(access, target, Manner.PIPELINED))
        if full is not False or access.credentials is None:
            return {"pipelined": full, "semi_pipelined": full}
        semi = bears(plain, await try_connect(access, target, Manner.SEMI_PIPELINED))
        return {"pipelined": full, "semi_pipelined": semi}
