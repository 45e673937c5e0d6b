"""One upstream: what it is asked, and what becomes of its answers."""

import asyncio

from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.resolver import wire
from sockslocal.resolver.age import older
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import FAILURES, OverloadedError
from sockslocal.resolver.health import Health
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.ways import Came, Way, way_to

PLAIN_FOR_S = 3600.0
"""Seconds an upstream that does not know EDNS is asked without it (RFC 6891 §7)."""


class Upstream:
    """A DNS server behind the tunnel."""

    def __init__(self, config: UpstreamConfig, tunnel: Tunnel, digester: Digester) -> None:
        self.name = str(config)
        self.health = Health()
        self.plain_udp = config.scheme == "udp"
        """Whether it is asked where forged answers are easiest."""
        self._way: Way = way_to(config, tunnel)
        self._digester = digester
        self._loop = asyncio.get_running_loop()
        self._plain_until = 0.0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._way.mismatches

    async def ask(self, query: wire.Query, seconds: float) -> Answer:
        """The answer, or the failure it tells; raises FAILURES, TimeoutError after `seconds`.

        Whoever asks has told `health` so; he cancels this when he has another's answer.
        """
        asked = self._loop.time()
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(query, seconds)
        except OverloadedError:
            self.health.note_nothing()
            raise
        except FAILURES as error:
            self.health.note_failure(asked, self._loop.time(), str(error) or "no answer in time")
            raise
        self.health.note_answer(asked, self._loop.time())
        return answer

    def recover(self) -> None:
        """The network may be another one: what carries queries is made anew, and failures are of the past."""
        self.health.forgive()
        self._way.renew()

    async def close(self) -> None:
        """End its flow and its connection."""
        await self._way.close()

    async def _ask(self, query: wire.Query, seconds: float) -> Answer:
        edns = self._loop.time() >= self._plain_until
        path, message, age = await self._exchange(query, seconds, edns=edns)
        if edns and wire.rcode(message) in (wire.FORMERR, wire.NOTIMP) and not wire.has_records(message):
            self._plain_until = self._loop.time() + PLAIN_FOR_S
            path, message, age = await self._exchange(query, seconds, edns=False)
        if wire.is_bare_error(message):
            return Answer(rcode=wire.rcode(message), upstream=self.name, path=path)
        return older(await self._digester.digest(message, upstream=self.name, path=path), age)

    async def _exchange(self, query: wire.Query, seconds: float, *, edns: bool) -> Came:
        """One question, and what came by which way."""
        question, profile = query.question, query.profile
        octets = wire.encode_query(
            question,
            dnssec_ok=profile.dnssec_ok,
            checking_disabled=profile.checking_disabled,
            edns=edns,
        )
        return await self._way.ask(octets, question, seconds)
