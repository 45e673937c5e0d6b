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
    """Looks when the server has granted a first request, and again when what it bore is in doubt.

    Three connections at most, to the server that `udp_probe` names; without one nothing is pipelined.
    """

    def __init__(self, engine: Engine, server: Learner) -> None:
        self._engine = engine
        self._server = server
        self._backoff = Backoff(FIRST_PAUSE_S, LAST_PAUSE_S)
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    def granted(self) -> None:
        """The server works; what is not known of it is looked at now, if it was not a short while ago."""
        target = self._server.config.udp_probe
        if self._server.profile.pipelined is not None or self._task is not None or target is None:
            return
        now = self._engine.clock()
        if now >= self._not_before:
            self._not_before = now + self._backoff.next()
            self._task = asyncio.get_running_loop().create_task(self._look(target), name="pipelining")

    def doubt(self) -> None:
        """The server may not bear it after all."""
        self._server.learn(pipelined=None, semi_pipelined=None)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self, target: Endpoint) -> None:
        way = self._server.way
        with suppress(ServerError):
            access = Access(*await enter(self._engine, way, ENTRY_S), LONGEST_S, way.tls)
            plain = await connect_plainly(access, target)
            full = bears(plain, await try_connect(access, target, Manner.PIPELINED))
            semi = full
            if full is False and access.credentials is not None:
                semi = bears(plain, await try_connect(access, target, Manner.SEMI_PIPELINED))
            self._server.learn(pipelined=full, semi_pipelined=semi)
        self._task = None
