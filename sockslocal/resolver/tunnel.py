"""What the resolver needs of the net layer: streams and datagrams to DNS servers behind the SOCKS5 server."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError


class DatagramFlow(Protocol):
    """Datagrams to and from one remote; lossy, like UDP itself."""

    def send(self, payload: bytes) -> None:
        """Send one datagram; never blocks, may drop."""

    def close(self) -> None:
        """End the flow; nothing is received after this."""


class Tunnel(Protocol):
    """The way through the server; there is no other way out of the resolver."""

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to `target`, made by the server; raises ServerError."""

    def open_flow(
        self,
        remote: Endpoint,
        received: Callable[[bytes], None],
        lost: Callable[[ServerError], None],
    ) -> DatagramFlow:
        """A UDP flow with `remote`; `received` gets only what the server says came from there.

        `lost` is called at most once, when the flow carries no more. Raises ServerError where there is none.
        """
