"""Asking an upstream by HTTPS (RFC 8484): what its responses have to be to be answers."""

from typing import TYPE_CHECKING, NamedTuple

from sockslocal.config.model import Upstream
from sockslocal.config.upstreams import DEFAULT_PORTS
from sockslocal.resolver import wire
from sockslocal.resolver.ask_tls import HTTP2, TlsDial
from sockslocal.resolver.errors import FaultyError, UnusableError
from sockslocal.resolver.stream import Stream
from sockslocal.resolver.transport import StreamTransport
from sockslocal.resolver.tunnel import Tunnel

if TYPE_CHECKING:
    from sockslocal.resolver.http2 import Headers, Http2Connection, Response

IDLE_S = 120.0
"""Seconds without a query after which we close; public servers keep a connection for some minutes."""

MEDIA_TYPE = "application/dns-message"


class Reply(NamedTuple):
    """A message, and for how many seconds HTTP caches have had it."""

    message: bytes
    age: int


class HttpsTransport:
    """One upstream by HTTPS: a POST for each query, all on one connection."""

    def __init__(self, tunnel: Tunnel, upstream: Upstream) -> None:
        self._upstream = upstream
        self._connections = StreamTransport(TlsDial(tunnel, upstream, HTTP2), self._made)

    @property
    def mismatches(self) -> int:
        """Responses cannot be mistaken for each other: the connection tells whose they are."""
        return self._connections.mismatches

    async def ask(self, message: bytes, question: bytes) -> Reply:
        """The answer to `message`, which asks `question`; raises FAILURES."""
        response = await self._connections.ask(message, question)
        fault = _fault(response)
        if fault is not None:
            raise FaultyError(fault, f"check the path of {self._upstream} in [dns]")
        body = response.body
        if not wire.answers(body, question, exact=False) and not wire.is_bare_error(body):
            raise UnusableError("a message that answers something else")
        return Reply(body, _age(response))

    def renew(self) -> None:
        """Have another connection carry what is asked."""
        self._connections.renew()

    async def close(self) -> None:
        """End the connection, and make no other."""
        await self._connections.close()

    def _made(self, stream: Stream) -> "Http2Connection":
        from sockslocal.resolver.http2 import Http2Connection  # 4 MB that only its users need

        return Http2Connection(stream, IDLE_S, headers_to(self._upstream))


def headers_to(upstream: Upstream) -> "Headers":
    """What begins each query: no more than has to, as it could tell who asks (RFC 8484 §8.2)."""
    host, port = upstream.endpoint
    literal = f"[{host}]" if ":" in host else host
    return (
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", literal if port == DEFAULT_PORTS["https"] else str(upstream.endpoint)),
        (":path", upstream.path),
        ("accept", MEDIA_TYPE),
        ("content-type", MEDIA_TYPE),
    )


def _fault(response: "Response") -> str | None:
    """Why there is no DNS message in `response`; None where there is one (RFC 8484 §4.2.1)."""
    if not 200 <= response.status < 300:
        return f"it answers with HTTP status {response.status}"
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        return f"it answers with {media_type[:80] or 'something'}, which is not {MEDIA_TYPE}"
    return None


def _age(response: "Response") -> int:
    """RFC 9111 §5.1; what is no number counts as none."""
    age = response.headers.get("age", "")
    return int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
