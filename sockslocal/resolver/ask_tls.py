"""Asking an upstream inside TLS (RFC 7858): its name is checked, and nothing is asked without (RFC 8310 §5).

OpenSSL works on memory: the connection below is asyncio's, and belongs to the tunnel.
"""

import asyncio
import ssl
from contextlib import suppress

from sockslocal.config.model import Upstream
from sockslocal.net.tls import Tls
from sockslocal.net.tls_problems import Settings, Words, tls_words
from sockslocal.resolver.errors import FaultyError, copied
from sockslocal.resolver.stream import CHUNK, PlainDial, Stream
from sockslocal.resolver.tunnel import Tunnel

HANDSHAKE_S = 2.5
"""Seconds: with a first attempt to connect that hung, less than a client waits for its answer."""

HOLD_S = 1.0
"""Seconds after a handshake that failed in which there is no other, however many ask."""

IDLE_S = 60.0
"""Seconds without a query after which we close: a handshake costs more than a connection that is kept."""

HTTP2 = "h2"
"""The name of HTTP/2 inside TLS (RFC 9113 §3.2)."""


class TlsStream:
    """TLS on a connection; `handshake` comes first."""

    def __init__(self, below: Stream, tls: Tls) -> None:
        self._below = below
        self._shared = tls
        self._remembered = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.begin(self._incoming, self._outgoing)

    @property
    def protocol(self) -> str | None:
        """What the server agreed to speak (RFC 7301)."""
        return self._tls.selected_alpn_protocol()

    @property
    def resumed(self) -> bool:
        """Whether the server knew us still."""
        return bool(self._tls.session_reused)

    async def handshake(self) -> None:
        """Begin. Raises OSError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._feed()
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # the server is told what is wrong
                raise
            else:
                self._flush()
                return

    async def read(self) -> bytes:
        while True:
            try:
                data = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._feed()
            except ssl.SSLZeroReturnError:
                return b""
            else:
                if not self._remembered:  # by now it has told the session
                    self._remembered = True
                    self._shared.remember(self._tls)
                return data

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Tell the server that nothing is cut, and go."""
        with suppress(OSError):
            self._tls.unwrap()
        with suppress(OSError):
            self._flush()
        self._below.close()

    async def _feed(self) -> None:
        self._flush()
        data = await self._below.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())


class TlsDial:
    """Connects to one upstream inside TLS; raises FaultyError where there is none, and then for a while."""

    def __init__(self, tunnel: Tunnel, upstream: Upstream, protocol: str | None = None) -> None:
        assert upstream.tls is not None  # noqa: S101  its scheme says so
        self._connect = PlainDial(tunnel, upstream.endpoint)
        self._tls = Tls(upstream.tls, protocol)
        self._protocol = protocol
        written = f"{upstream} in [dns]"
        self._settings = Settings(written, f"the name in {written}", "ca in [dns]")
        self._fault: FaultyError | None = None
        self._held_until = 0.0

    async def __call__(self) -> TlsStream:
        loop = asyncio.get_running_loop()
        if self._fault is not None and loop.time() < self._held_until:
            raise copied(self._fault)
        below = await self._connect()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                return await self._secured(below)
        except OSError as error:
            below.close()
            self._tls.forget()
            self._held_until = loop.time() + HOLD_S
            self._fault = _fault(self._words(error))
            raise copied(self._fault) from error
        except BaseException:
            below.close()
            raise

    async def _secured(self, below: Stream) -> TlsStream:
        stream = TlsStream(below, self._tls)
        await stream.handshake()
        if stream.protocol != self._protocol:
            raise _ProtocolError
        return stream

    def _words(self, error: OSError) -> Words:
        if isinstance(error, _ProtocolError):
            return Words("it speaks no HTTP/2", f"check {self._settings.address}")
        if isinstance(error, TimeoutError):
            remedy = f"check {self._settings.address}, and whether the server speaks TLS there"
            return Words("it says nothing to a TLS handshake", remedy)
        return tls_words(error, self._tls.config, self._settings)


class _ProtocolError(OSError):
    """TLS, but not with what is to be spoken inside."""


def _fault(words: Words) -> FaultyError:
    return FaultyError(f"no TLS: {words.reason}", words.remedy)
