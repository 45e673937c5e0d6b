"""UDP forwards: each local program that sends has a flow of its own."""

import logging
import socket
from functools import partial

from sockslocal import status
from sockslocal.address import Endpoint, spell
from sockslocal.config.model import UdpForwardConfig
from sockslocal.errors import ServerError
from sockslocal.net.binding import bind_all, bind_datagram, unwatched
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, Peer
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.net.udp_flow import Flow
from sockslocal.problems import Problem

_log = logging.getLogger(__name__)


class UdpForward:
    """Listens as configured; counts what passes and what had to be dropped."""

    def __init__(self, engine: Engine, config: UdpForwardConfig, route: Route) -> None:
        self.engine = engine
        self.config = config
        self.route = route
        self.total = 0
        self.failed = 0
        self.sent = 0
        self.received = 0
        self.dropped = 0
        self.problem: Problem | None = None
        self._listeners: list[_Listener] = []

    def open(self) -> None:
        """Listen on every address, or on none and raise ListenError."""
        bind = partial(bind_datagram, passed=self.engine.passed)
        sockets = bind_all(bind, self.config.listen, "udp", self.config.name)
        try:
            for sock, target in zip(sockets, self.config.to, strict=True):
                self._listeners.append(_Listener(self, sock, target))
        except OSError as error:
            self.close()
            raise unwatched(error, sockets, self.config.name) from None

    def close(self) -> None:
        """Stop listening and end all flows; what went wrong with them is of the past."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self.problem = None

    def note(self, error: ServerError) -> None:
        """Something went wrong; what goes wrong again and again is logged once."""
        if error.problem != self.problem:
            self.problem = error.problem
            _log.info("! forward %s: %s", self.config.name, error)

    def snapshot(self, state: status.ForwardState, problem: Problem | None) -> status.Forward:
        """What to show, where the supervisor knows `state` and the `problem` with it."""
        flows = sum(len(listener.sessions) for listener in self._listeners)
        return status.Forward(
            kind="udp",
            listen=spell(self.config.listen),
            to=spell(self.config.to),
            server=self.route.name,
            state=state,
            problem=problem or self.problem or self.route.udp_problem,
            connections=status.Connections(flows, self.total, self.failed),
            bytes=status.Bytes(self.sent, self.received),
            dropped=self.dropped,
        )


class _Listener:
    """One local socket; a session for each local program that sent to it lately."""

    def __init__(self, forward: UdpForward, sock: socket.socket, target: Endpoint) -> None:
        self.forward = forward
        self.sock = sock
        self.target = target
        self.sessions: dict[Peer, _Session] = {}
        self._reader = DatagramReader(forward.engine, sock, self._pass_on)

    def close(self) -> None:
        for session in list(self.sessions.values()):
            session.close()
        self._reader.close()

    def _pass_on(self, batch: Batch, count: int) -> None:
        """Send each run of datagrams of one program through its session."""
        start = 0
        while start < count:
            peer = batch.peer(start)
            stop = start + 1
            while stop < count and batch.peer(stop) == peer:
                stop += 1
            session = self.sessions.get(peer) or self._open(peer)
            taken = session.send(batch, range(start, stop)) if session else 0
            self.forward.dropped += stop - start - taken
            start = stop

    def _open(self, peer: Peer) -> "_Session | None":
        """A session for `peer`, None while there can be none."""
        session = _Session(self, peer)
        forward = self.forward
        try:
            session.flow = forward.route.open(
                self.target, session, forward.config.idle, exclusive=forward.config.share == "never"
            )
        except ServerError as error:
            forward.note(error)
            return None
        forward.total += 1
        self.sessions[peer] = session
        return session


class _Session:
    """The datagrams between one local program and the target."""

    __slots__ = ("_listener", "_peer", "flow")

    def __init__(self, listener: _Listener, peer: Peer) -> None:
        self._listener = listener
        self._peer = peer
        self.flow: Flow | None = None

    def send(self, batch: Batch, indices: range) -> int:
        """Send to the target; gives how many datagrams were taken."""
        if self.flow is None:
            return 0
        self.flow.touch()
        return self.flow.send(batch, indices)

    def opened(self) -> None:
        self._listener.forward.problem = None

    def sent(self, octets: int) -> None:
        self._listener.forward.sent += octets

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        forward = self._listener.forward
        forward.received += batch.octets(indices) - skip * len(indices)
        if self.flow is not None:
            self.flow.touch()
        taken = batch.send(self._listener.sock, indices, skip=skip, peer=self._peer)
        forward.dropped += len(indices) - taken

    def dropped(self, count: int) -> None:
        self._listener.forward.dropped += count

    def lost(self, error: ServerError | None) -> None:
        self.flow = None
        self._listener.sessions.pop(self._peer, None)
        if error is not None:
            self._listener.forward.failed += 1
            self._listener.forward.note(error)

    def close(self) -> None:
        if self.flow is not None:
            self.flow.close()
            self.flow = None
        self._listener.sessions.pop(self._peer, None)
