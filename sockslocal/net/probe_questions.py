"""Questions by datagrams while a server is examined, and what their answers show of the way they took."""

import asyncio
import secrets
from collections.abc import Callable

from sockslocal.address import Endpoint, ip_of
from sockslocal.net.datagram_size import SizeSearch
from sockslocal.net.probe_channels import Answer, Channel
from sockslocal.net.profile import ForeignSource
from sockslocal.net.udp_probe import answers, question
from sockslocal.socks5.errors import RemoteError

ATTEMPTS = 2
"""How often a datagram is sent: any may get lost."""

SHORTEST_S = 0.2
"""Seconds that a question has at least; else eight times what the quickest answer has taken."""

Learn = Callable[..., None]
"""Is told facts of the profile."""


class Questions:
    """Asks by one channel; a question has `seconds`, and fewer once it is known how quick answers are."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel = channel
        self._seconds = seconds
        self.echoed = 0
        """Octets of the largest question that came back as it was, 0 where none did."""

    async def ask(
        self, remote: Endpoint, *, octets: int = 0, anything: bool = False, strictly: bool = False
    ) -> Answer | None:
        """What `remote` answers to a question of at least so many octets, or None; never raises.

        With `anything` whatever comes from the relay will do; `strictly` has nobody else answer.
        """
        loop = asyncio.get_running_loop()
        asked = question(secrets.randbits(16)).ljust(octets, b"\0")
        for _ in range(ATTEMPTS):
            began = loop.time()
            try:
                async with asyncio.timeout(self._seconds / ATTEMPTS):
                    await self._channel.send(remote, asked)
                    answer = await self._answer_to(asked, anything=anything, strictly=strictly)
            except TimeoutError:
                continue
            except (RemoteError, OSError):  # also: it cannot be sent there, or not in that size
                return None
            self._seconds = min(self._seconds, max(SHORTEST_S, 8 * (loop.time() - began)))
            if answer.payload == asked:
                self.echoed = max(self.echoed, len(asked))
            return answer
        return None

    async def look_closer(
        self, remote: Endpoint, twin: Endpoint | None, answer: Answer, learn: Learn
    ) -> None:
        """Learn more of a way by which `answer` has come back from `remote`; `twin` is an IPv6 remote."""
        if _foreign(self._channel.relay, answer.source) not in {None, "no"}:
            # Somebody else may have guessed what was asked, but cannot keep the relay from answering.
            answer = await self.ask(remote, strictly=True) or answer
        learn(probe_answers=True, foreign_source=_foreign(self._channel.relay, answer.source))
        if ip_of(remote.host) is not None:
            learn(names_remote=answer.remote == remote)
        if twin is not None:
            learn(udp_ipv6=await self.ask(twin) is not None)
        if self.echoed:
            await self._find_largest(remote, learn)

    async def _find_largest(self, remote: Endpoint, learn: Learn) -> None:
        """The largest datagram that an echo brings back whole.

        What is so far the largest would forbid larger ones, so `learn` is told only when the search is over.
        """
        search = SizeSearch(self.echoed)
        while (size := search.size()) is not None:
            answer = await self.ask(remote, octets=size)
            if answer is None:
                search.lost()
            else:
                search.came_back(len(answer.payload))
        learn(largest_datagram=search.passed)

    async def _answer_to(self, asked: bytes, *, anything: bool, strictly: bool) -> Answer:
        while True:
            answer = await self._channel.receive()
            from_relay = answer.source == self._channel.relay
            if (anything and from_relay) or (answers(asked, answer.payload) and (from_relay or not strictly)):
                return answer


def _foreign(relay: Endpoint | None, source: Endpoint | None) -> ForeignSource | None:
    """From where an answer came, seen from the relay; None where there is no such choice."""
    if relay is None or source is None:
        return None
    if source == relay:
        return "no"
    return "port" if source.host == relay.host else "address"
