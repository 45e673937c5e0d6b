"""Where the SOCKS5 server is: the one name that is resolved on this machine.

Where the system asks our own resolver, that would wait for the server whose name this is. Then those are
asked that the system asked before.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from sockslocal.address import Endpoint, ip_of
from sockslocal.net.connecting import SocketAddress
from sockslocal.system_dns import previous

FRESH_S = 60.0
"""Seconds for which an answer of the system's resolver is used without asking again."""

STALE_S = 2.0
"""Seconds for which an old answer is used after a look-up that failed."""

DEADLINE_S = 10.0
"""Seconds that the system's resolver has for its first answer."""

PATIENCE_S = 1.0
"""Seconds that it has for a later one; then the old answer serves for a while longer."""

Found = Callable[[list[SocketAddress] | OSError], None]


def interleave(addresses: list[SocketAddress]) -> list[SocketAddress]:
    """Alternate the families, the first one first (RFC 8305 §4), so that a dead family costs one delay."""
    first = [address for address in addresses if address[0] is addresses[0][0]]
    other = [address for address in addresses if address[0] is not addresses[0][0]]
    mixed: list[SocketAddress] = []
    while first or other:
        mixed += first[:1] + other[:1]
        del first[:1], other[:1]
    return mixed


class ServerAddresses:
    """The socket addresses of one server; an old answer serves where a new one is not to be had."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._known: list[SocketAddress] = []
        self._fresh_until = float("-inf")
        self._preferred: SocketAddress | None = None
        self._waiting: dict[Found, None] = {}
        self._lookup: _Lookup | None = None
        self._impatience: asyncio.TimerHandle | None = None
        address = ip_of(endpoint.host)
        if address is not None:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            self._known = [(family, (endpoint.host, endpoint.port))]
            self._fresh_until = float("inf")

    def find(self, found: Found) -> None:
        """Call `found` with the addresses, at once where they are known, or with why there are none."""
        if self._clock() < self._fresh_until:
            found(self._known)
            return
        self._waiting[found] = None
        if self._impatience is None:
            seconds = PATIENCE_S if self._known else DEADLINE_S
            self._impatience = asyncio.get_running_loop().call_later(seconds, self._give_up)
        if self._lookup is None:
            self._lookup = _Lookup(self._endpoint, self._answered)

    def drop(self, found: Found) -> None:
        """`found` is not to be called any more."""
        self._waiting.pop(found, None)

    def doubt(self) -> None:
        """What is known may be so no more: a name is looked up again."""
        if self._fresh_until != float("inf"):
            self._fresh_until = float("-inf")

    def prefer(self, address: SocketAddress) -> None:
        """`address` has answered: try it first from now on."""
        if address != self._known[0] and address in self._known:
            self._preferred = address
            self._put_preferred_first()

    def _put_preferred_first(self) -> None:
        self._known.sort(key=lambda address: address != self._preferred)

    def _give_up(self) -> None:
        """The resolver takes too long; its answer is taken when it comes, and until then the old one."""
        self._tell(OSError(0, "no answer in time"), FRESH_S)

    def _answered(self, answer: list[SocketAddress] | OSError) -> None:
        self._lookup = None
        if isinstance(answer, list):
            self._known = interleave(answer)
            self._put_preferred_first()
            self._tell(answer, FRESH_S)
        else:
            self._tell(answer, STALE_S)

    def _tell(self, outcome: list[SocketAddress] | OSError, seconds: float) -> None:
        """Call those who wait; where there was no new answer, with the old one, good for some `seconds`."""
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        if self._known:
            self._fresh_until = self._clock() + seconds
            outcome = self._known
        waiting, self._waiting = self._waiting, {}
        for found in waiting:
            found(outcome)


class _Lookup:
    """One question to the system's resolver, in a thread of its own.

    Not in the loop's executor: that one waits for its threads when the process is to end, and this question
    may take the resolver half a minute. Nobody waits for a daemon thread.
    """

    def __init__(self, endpoint: Endpoint, answered: Found) -> None:
        self._endpoint = endpoint
        self._answered = answered
        self._loop = asyncio.get_running_loop()
        try:
            threading.Thread(target=self._ask, name="server address", daemon=True).start()
        except RuntimeError as error:  # no thread can be started
            self._loop.call_soon(answered, OSError(0, str(error)))

    def _ask(self) -> None:
        outcome: list[SocketAddress] | OSError
        try:
            outcome = _look_up(self._endpoint)
        except OSError as error:
            outcome = error
        except UnicodeError:
            outcome = OSError(0, "it is no host name")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._answered, outcome)


def _look_up(endpoint: Endpoint) -> list[SocketAddress]:
    """Its addresses. Blocks; raises OSError and UnicodeError."""
    before = previous.find()
    if before is not None:
        return list(previous.look_up(before, *endpoint))
    answers = socket.getaddrinfo(*endpoint, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in answers]
