"""UDP and TCP on every address that the resolver listens on."""

from collections.abc import Iterable

from sockslocal.address import Endpoint
from sockslocal.errors import ListenError
from sockslocal.net.binding import bind_datagram, bind_stream, unwatched
from sockslocal.net.engine import Engine
from sockslocal.resolver.listen_tcp import StreamServer
from sockslocal.resolver.listen_udp import DatagramServer
from sockslocal.resolver.pipeline import Backend


class Listeners:
    """Answer from `backend`, from `open()` until `stop()`."""

    def __init__(self, engine: Engine, backend: Backend) -> None:
        self._engine = engine
        self._backend = backend
        self.datagrams: list[DatagramServer] = []
        self.streams: list[StreamServer] = []
        self.endpoints: list[Endpoint] = []
        """Where they listen, with the ports that were given where 0 was asked for."""

    def open(self, endpoints: Iterable[Endpoint]) -> None:
        """Listen on all of them, or on none; raises ListenError."""
        try:
            for endpoint in endpoints:
                self._listen(endpoint)
        except ListenError:
            self.stop()
            raise
        except OSError as error:
            self.stop()
            raise unwatched(error, (), "dns", "resolver") from None

    def stop(self) -> None:
        """Take no more queries, and free the ports; what waits on a connection is still answered."""
        for datagrams in self.datagrams:
            datagrams.close()
        for streams in self.streams:
            streams.stop()

    def close(self) -> None:
        """End the connections, too."""
        for streams in self.streams:
            streams.close()

    def _listen(self, endpoint: Endpoint) -> None:
        """UDP and TCP on the same port (RFC 7766 §5)."""
        passed = self._engine.passed
        stream = bind_stream(endpoint, "dns", "dns", passed)
        self.streams.append(StreamServer(self._engine, stream, self._backend))
        bound = Endpoint(endpoint.host, stream.getsockname()[1])
        datagrams = bind_datagram(bound, "dns", "dns", passed)
        self.datagrams.append(DatagramServer(self._engine, datagrams, self._backend))
        self.endpoints.append(bound)
