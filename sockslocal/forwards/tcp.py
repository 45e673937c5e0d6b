"""TCP forwards: a local connection, its way through the server, the relay."""

import logging
import socket
from functools import partial

from sockslocal import status
from sockslocal.address import Endpoint, spell
from sockslocal.config.model import TcpForwardConfig
from sockslocal.errors import ListenError, ServerError
from sockslocal.net import owners
from sockslocal.net.abort import abort
from sockslocal.net.binding import bind_all, bind_stream, unwatched
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.listener import Listener
from sockslocal.net.poller import ERROR
from sockslocal.net.relay import End, Relay
from sockslocal.net.route import Crossing, Route
from sockslocal.net.way import Way
from sockslocal.problems import Problem, problem

_log = logging.getLogger(__name__)


class TcpForward:
    """Listens as configured; counts what happens and remembers what went wrong last."""

    def __init__(self, engine: Engine, config: TcpForwardConfig, route: Route) -> None:
        self.engine = engine
        self.config = config
        self.route = route
        self.problem: Problem | None = None
        self._listeners: list[Listener] = []
        self._connections: set[_Connection] = set()
        self._total = 0
        self._failed = 0
        self._sent = 0
        self._received = 0

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def open(self) -> None:
        """Listen on every address, or on none and raise ListenError."""
        config = self.config
        if config.only_me and not owners.available():
            raise ListenError.of("only-me-unavailable", name=config.name, listen=config.listen[0])
        engine = self.engine
        bind = partial(bind_stream, passed=engine.passed)
        sockets = bind_all(bind, config.listen, "tcp", config.name)
        try:
            for sock, target in zip(sockets, config.to, strict=True):
                listener = Listener(engine.poller, sock, partial(self._accepted, target), engine.budget)
                self._listeners.append(listener)
        except OSError as error:
            self.stop_listening()
            raise unwatched(error, sockets, config.name) from None

    def stop_listening(self) -> None:
        """Accept no more; the connections live on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def close(self) -> None:
        """Stop listening and end all connections; what went wrong with them is of the past."""
        self.stop_listening()
        for connection in list(self._connections):
            connection.abort()
        self.problem = None

    def snapshot(self, state: status.ForwardState, trouble: Problem | None) -> status.Forward:
        """What to show, where the supervisor knows `state` and the `trouble` with it."""
        config = self.config
        live = [connection.relay for connection in self._connections if connection.relay]
        return status.Forward(
            kind="tcp",
            listen=spell(config.listen),
            to=spell(config.to),
            server=self.route.name,
            state=state,
            problem=trouble or self.problem,
            connections=status.Connections(len(self._connections), self._total, self._failed),
            bytes=status.Bytes(
                self._sent + sum(relay.sent for relay in live),
                self._received + sum(relay.received for relay in live),
            ),
        )

    def _accepted(self, target: Endpoint, local: socket.socket) -> None:
        self._total += 1
        if self.config.only_me and (owner := owners.owner(local)) is not owners.Owner.US:
            self._refused(local, owner)
            return
        try:
            connection = _Connection(self, local, target)
        except OSError:  # no more sockets can be watched
            self._failed += 1
            self.problem = problem("descriptors-exhausted", limit=self.engine.budget.limit)
            return
        self._connections.add(connection)
        connection.start()

    def _refused(self, local: socket.socket, owner: owners.Owner) -> None:
        """One that has closed already is nobody's, and most often was the user's own: nothing is wrong."""
        self._failed += 1
        if owner is owners.Owner.OTHER:
            self._note(problem("other-user-refused"))
        abort(self.engine.poller, local)

    def ended(self, connection: "_Connection", error: ServerError | None) -> None:
        """`connection` is over; with an error nothing came of it."""
        self._connections.discard(connection)
        if connection.relay is not None:
            self._sent += connection.relay.sent
            self._received += connection.relay.received
            connection.relay = None  # each knows the other: without this they wait for the collector
        if error is not None:
            self._failed += 1
            self._note(error.problem)

    def _note(self, trouble: Problem) -> None:
        """Remember what went wrong; a thousand that fail alike are one line of the log."""
        if trouble != self.problem:
            self.problem = trouble
            _log.info("! forward %s: %s", self.config.name, trouble.text)


class _Connection:
    """One local connection, from accept to close."""

    __slots__ = ("_crossing", "_edges", "_forward", "_local", "_over", "_target", "relay")

    def __init__(self, forward: TcpForward, local: socket.socket, target: Endpoint) -> None:
        self._forward = forward
        self._local = local
        self._target = target
        self._crossing: Crossing | None = None
        self._edges = 0
        self._over = False
        self.relay: Relay | None = None
        forward.engine.poller.register(local, self._waiting)

    def start(self) -> None:
        """Set out through the server."""
        crossing = self._forward.route.connect(self._target, self._crossed, self._give_up)
        if self.relay is None and not self._over:
            self._crossing = crossing

    def abort(self) -> None:
        """End it from here."""
        if self.relay is not None:
            self.relay.abort()
        else:
            self._give_up(None)

    def _waiting(self, events: int) -> None:
        """Until the way is open nothing is read; only the local program's own abort is of interest."""
        self._edges |= events
        if events & ERROR:
            self._give_up(None)

    def _crossed(self, dial: Dial) -> None:
        engine = self._forward.engine
        self._crossing = None
        self._forward.problem = None
        self.relay = Relay(engine, self._local, dial.sock, partial(self._relayed, dial.way))
        self.relay.start(leftover=dial.leftover, local_edges=self._edges, remote_edges=dial.edges)

    def _give_up(self, error: ServerError | None) -> None:
        """The way did not open (`error`), or is not needed any more."""
        if self._over:
            return
        self._over = True
        if self._crossing is not None:
            self._crossing.cancel()
        abort(self._forward.engine.poller, self._local)
        self._forward.ended(self, error)

    def _relayed(self, way: Way, relay: Relay) -> None:
        self._over = True
        error = None
        if relay.end in (End.REJECTED, End.UNANSWERED):
            error = ServerError(way.problem("target-closed", target=self._target))
        self._forward.ended(self, error)
