"""Where the SOCKS5 server is: the one name that is resolved on this machine."""

import asyncio
import socket
from collections.abc import Callable

from sockslocal.address import Endpoint, ip_of
from sockslocal.net.connecting import SocketAddress

FRESH_S = 60.0
"""Seconds for which an answer of the system's resolver is used without asking again."""

DEADLINE_S = 10.0

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
        self._asked_at = float("-inf")
        self._waiting: list[Found] = []
        self._task: asyncio.Task[None] | None = None
        address = ip_of(endpoint.host)
        self._fixed = address is not None
        if address is not None:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            self._known = [(family, (endpoint.host, endpoint.port))]

    def find(self, found: Found) -> None:
        """Call `found` with the addresses, at once where they are known, or with why there are none."""
        if self._fixed or (self._known and self._clock() - self._asked_at < FRESH_S):
            found(self._known)
            return
        self._waiting.append(found)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._resolve(), name="server address")

    def prefer(self, address: SocketAddress) -> None:
        """`address` has answered: try it first from now on."""
        if not self._fixed and address in self._known:
            self._known.remove(address)
            self._known.insert(0, address)

    def close(self) -> None:
        """Stop resolving; who waits is not called any more."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _resolve(self) -> None:
        outcome: list[SocketAddress] | OSError
        try:
            async with asyncio.timeout(DEADLINE_S):
                answers = await asyncio.get_running_loop().getaddrinfo(
                    self._endpoint.host, self._endpoint.port, type=socket.SOCK_STREAM
                )
            self._known = interleave([(family, address) for family, _, _, _, address in answers])
            self._asked_at = self._clock()
            outcome = self._known
        except OSError as error:  # TimeoutError is one
            outcome = self._known or error
        finally:
            self._task = None
        waiting, self._waiting = self._waiting, []
        for found in waiting:
            found(outcome)
