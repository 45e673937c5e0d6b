"""One connection on its way through a SOCKS5 server: address, connect, greeting, login, request, reply.

Each stage has a deadline of its own, and a message that has begun must soon be complete, so neither
silence nor a server that drips octets holds a local connection for long.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial

import msgspec

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError, SockslocalError
from sockslocal.net.abort import abort
from sockslocal.net.connecting import Connecting, SocketAddress
from sockslocal.net.descriptors import CAPACITY_ERRNOS
from sockslocal.net.engine import Engine
from sockslocal.net.login import Answer
from sockslocal.net.poller import ERROR, PEER_FIN, READABLE
from sockslocal.net.securing import HANDSHAKE_S, Securing
from sockslocal.net.sockets import Socket, for_asyncio
from sockslocal.net.tls import is_cut, say_end
from sockslocal.net.tls_problems import tls_problem
from sockslocal.net.way import Way
from sockslocal.problems import Problem, problem
from sockslocal.socks5.client import ClientHandshake, Credentials, Pipelining
from sockslocal.socks5.errors import AuthenticationRejected, ConnectionClosed, RemoteError, RequestRefused
from sockslocal.socks5.messages import UNDERSTOOD, Request, Stage

STAGE_S = {Stage.GREETING: 5.0, Stage.AUTHENTICATION: 5.0, Stage.REPLY: 10.0}
"""Seconds; before its reply the server connects to the target, and Tor may never reply while it starts."""

PASSWORD_S = 35.0
"""Reading the password has a deadline of its own, which comes first."""

MESSAGE_S = 2.0
"""Seconds from a message's first octet to its last: each fits into one segment."""

_READ = 4096

_GREETING, _REPLY, _NONE = Stage.GREETING, Stage.REPLY, Pipelining.NONE  # quicker to reach than by the class

_LAST_STAGES = (Stage.DONE, Stage.READY)


class DialError(ServerError):
    """Why a dial failed.

    `server_answers` where the server works and only this request did not; `rejected` is the login that the
    server did not accept, None where it was not asked to or did.
    """

    def __init__(
        self, problem: Problem, *, server_answers: bool = False, rejected: Credentials | None = None
    ) -> None:
        super().__init__(problem)
        self.server_answers = server_answers
        self.rejected = rejected


class Dial:
    """One attempt: calls `done` with itself, or `failed` with the reason; once, and not after `cancel`.

    When done, `sock` is the receiver's, watched by the poller; `leftover` was received behind the reply,
    `edges` are what the poller told since, `bound` is what the reply names. Without a `request` the dial is
    done when the server has accepted the login.

    Messages are pipelined as far as the way says that the server bears it. What fails then, unless it is for
    the target, starts over, message by message, before anybody hears of it; if that comes to something else,
    the server is told of as one that does not bear it.
    """

    __slots__ = (
        "_address",
        "_connecting",
        "_done",
        "_engine",
        "_failed",
        "_first",
        "_handshake",
        "_login",
        "_over",
        "_pipelining",
        "_sock",
        "deadline",
        "edges",
        "logged_in",
        "request",
        "started",
        "way",
    )

    def __init__(
        self,
        engine: Engine,
        way: Way,
        request: Request | None,
        done: "Callable[[Dial], None]",
        failed: Callable[[DialError], None],
    ) -> None:
        self._engine = engine
        self.way = way
        self.request = request
        self._done = done
        self._failed = failed
        self._connecting: Connecting | Securing | None = None
        self._handshake: ClientHandshake | None = None
        self._login: Credentials | None = None
        self._sock: Socket | None = None
        self._address: SocketAddress | None = None
        self._over = False
        self._pipelining = way.pipelining
        self._first: Problem | None = None
        self.deadline = 0.0
        self.started = 0.0
        self.logged_in = 0.0
        self.edges = 0

    @property
    def engine(self) -> Engine:
        """What the connection lives in."""
        return self._engine

    @property
    def sock(self) -> Socket:
        """The connection, once there is one."""
        assert self._sock is not None  # noqa: S101  a dial that is done has one
        return self._sock

    @property
    def address(self) -> SocketAddress:
        """The server's, once there is a connection."""
        assert self._address is not None  # noqa: S101  as above
        return self._address

    @property
    def leftover(self) -> bytes:
        """What came behind the reply; it belongs to the tunnel."""
        return self._handshake.trailing if self._handshake else b""

    @property
    def bound(self) -> Endpoint:
        """What the reply names as BND (RFC 1928 §6)."""
        bound = self._handshake.bound if self._handshake else None
        assert bound is not None  # noqa: S101  a request that is done was replied to
        return bound

    def start(self) -> None:
        """Begin, with the password, which may have to be read first."""
        self.deadline = self._engine.clock() + PASSWORD_S
        self._engine.deadlines.add(self)
        self._engine.budget.promised += 1
        self.way.login.find(self._answered)

    def cancel(self) -> None:
        """End the attempt; nothing is called any more."""
        if not self._over:
            self._retire()
            if self._sock is not None:
                abort(self._engine.poller, self._sock)

    def close(self) -> None:
        """End the connection of a finished dial that is not needed."""
        say_end(self.sock)
        self._engine.poller.close(self.sock)

    def release(self) -> socket.socket:
        """Take the socket of a finished dial from the poller, for asyncio's hands."""
        self._engine.poller.release(self.sock)
        return for_asyncio(self.sock)

    def expire(self) -> None:
        """The stage's deadline has passed."""
        if self._handshake is not None:
            self._expire_in(self._handshake)
        elif isinstance(self._connecting, Securing):
            late = TimeoutError(errno.ETIMEDOUT, f"the handshake did not end within {HANDSHAKE_S:g} s")
            self._fail(DialError(tls_problem(self.way, late)))
        elif self._connecting is not None:
            self._fail(self._unreachable("it does not answer"))
        elif self.started:
            self._fail(self._unresolvable("no answer in time"))
        else:
            reason = f"it did not come within {PASSWORD_S:g} s"
            self._fail(DialError(self.way.problem("password-awaited", reason=reason)))

    def _expire_in(self, handshake: ClientHandshake) -> None:
        stage = handshake.stage
        seconds = MESSAGE_S if handshake.partial else STAGE_S[stage]
        why = self.way.problem("server-timeout", stage=stage, seconds=seconds)
        if self._pipelining is _NONE:
            self._fail(DialError(why, server_answers=stage is _REPLY))
        elif stage is not _REPLY:
            self._start_over(why)
        else:  # nobody waits so long again, and it may be the target that is silent
            if self.way.pipelined_at < self.started:
                self.way.doubted()
            self._fail(DialError(why, server_answers=True))

    def _start_over(self, why: Problem) -> None:
        """Again, message by message, after it failed for the reason given."""
        self._first = why
        self._pipelining = _NONE
        abort(self._engine.poller, self.sock)
        self._sock = self._handshake = None
        self.started = self._engine.clock()
        self.deadline = self.started + self.way.connect_timeout
        self._engine.deadlines.add(self)  # where the last one has passed, it is not watched any more
        self._engine.budget.promised += 1
        self.way.addresses.find(self._found)

    def _compare(self, why: Problem | None) -> None:
        """Where it has started over: another outcome shows that the pipelining was to blame."""
        if self._first is not None and why != self._first:
            self.way.doubted()

    def _retire(self) -> None:
        self._over = True
        self._engine.deadlines.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        elif self._sock is None:
            self._engine.budget.promised -= 1
            self.way.login.drop(self._answered)
            self.way.addresses.drop(self._found)

    def _fail(self, error: DialError) -> None:
        if not self._over:
            self.cancel()
            self._compare(error.problem)
            self.way.missed(error)
            self._failed(error)

    def _unreachable(self, reason: str) -> DialError:
        return DialError(self.way.problem("server-unreachable", reason=reason))

    def _unresolvable(self, reason: str) -> DialError:
        host = self.way.endpoint.host
        return DialError(self.way.problem("server-unresolvable", host=host, reason=reason))

    def _answered(self, answer: Answer) -> None:
        if self._over:  # cancelled by what another one that waited was told
            return
        if isinstance(answer, SockslocalError):
            self._fail(DialError(answer.problem))
            return
        self._login = answer
        self.started = self._engine.clock()
        self.deadline = self.started + self.way.connect_timeout
        self.way.addresses.find(self._found)

    def _found(self, addresses: list[SocketAddress] | OSError) -> None:
        if self._over:  # as above
            return
        if isinstance(addresses, OSError):
            self._fail(self._unresolvable(addresses.strerror or "it cannot be resolved"))
            return
        self._engine.budget.promised -= 1
        connected = self._connected if self.way.tls is None else self._secure
        self._connecting = connecting = Connecting(self._engine.poller, addresses, connected, self._refused)
        connecting.start()

    def _refused(self, error: OSError) -> None:
        if error.errno in CAPACITY_ERRNOS:  # ours, not the server's
            self._fail(DialError(problem("descriptors-exhausted", limit=self._engine.budget.limit)))
        elif isinstance(self._connecting, Securing):
            self._fail(DialError(tls_problem(self.way, error)))
        elif error.errno != errno.ECONNRESET:
            self._fail(self._unreachable(os.strerror(error.errno or 0).lower()))
        elif self.way.tls is not None:  # it was connected, but reset before that was seen
            self._fail(DialError(tls_problem(self.way, error)))
        else:
            self._rejected(ClientHandshake(self._login, None).eof())

    def _secure(self, sock: Socket, address: SocketAddress, edges: int) -> None:
        """Put TLS round the connection."""
        assert self.way.tls is not None  # noqa: S101  or this is not called
        self.deadline = self._engine.clock() + HANDSHAKE_S

        def secured(sock: Socket, edges: int) -> None:
            self._connected(sock, address, edges)

        securing = Securing(self._engine.poller, self.way.tls, sock, secured, self._refused)
        self._connecting = securing
        securing.start(edges)

    def _connected(self, sock: Socket, address: SocketAddress, edges: int) -> None:
        self._connecting = None
        self._sock = sock
        self._address = address
        request = self._request_from(address)
        self._handshake = handshake = ClientHandshake(self._login, request, self._pipelining)
        self._engine.poller.replace(sock, partial(self._ready, sock, handshake))
        self._begin(_GREETING)
        try:
            sock.send(handshake.start())  # whole, as all messages: the send buffer was empty
        except OSError:
            self._rejected(handshake.eof())
        else:
            self._ready(sock, handshake, edges)

    def _request_from(self, address: SocketAddress) -> Request | None:
        """The request; the zeros of an association in the family of the control connection."""
        request = self.request
        if address[0] == socket.AF_INET6 and request is not None and request.target.host == "0.0.0.0":  # noqa: S104  compared, not bound to
            return request._replace(target=Endpoint("::", request.target.port))
        return request

    def _begin(self, stage: Stage) -> None:
        """`stage` and its deadline begin."""
        now = self._engine.clock()
        self.deadline = now + STAGE_S.get(stage, 0.0)
        if stage is _REPLY:
            self.logged_in = now

    def _ready(self, sock: Socket, handshake: ClientHandshake, events: int) -> None:
        self.edges = events
        if not events & READABLE or self._over:
            return
        try:
            data = sock.recv(_READ)
            if not data:
                raise handshake.eof()
            before = handshake.stage
            answer = handshake.receive(data)
            if handshake.stage is not before:
                self._begin(handshake.stage)
            if answer:
                sock.send(answer)
        except BlockingIOError:
            self._engine.poller.wait_readable(sock)
        except OSError as error:
            self._lost(handshake, error)
        except RemoteError as error:
            self._rejected(error)
        else:
            if handshake.stage in _LAST_STAGES:
                self._finish(drained=len(data) < _READ)
            else:
                self._wait_for_more(sock, handshake)

    def _lost(self, handshake: ClientHandshake, error: OSError) -> None:
        if isinstance(error, ssl.SSLError) and not is_cut(error):
            self._fail(DialError(tls_problem(self.way, error)))
        else:
            self._rejected(handshake.eof())  # a reset or a cut; to a user the same as closed

    def _wait_for_more(self, sock: Socket, handshake: ClientHandshake) -> None:
        if handshake.partial:
            self.deadline = min(self.deadline, self._engine.clock() + MESSAGE_S)
        self._engine.poller.wait_readable(sock)
        if self.edges & PEER_FIN or self.way.tls is not None:
            # No further edge may come, but what is there may complete the message.
            self._ready(sock, handshake, self.edges)

    def _finish(self, *, drained: bool) -> None:
        if self.way.tls is not None:  # more may have been received than was read
            self.way.tls.remember(self.sock)
        elif drained:
            self.edges &= PEER_FIN | ERROR
        if not self.logged_in:
            self.logged_in = self._engine.clock()
        self._over = True
        self._engine.deadlines.discard(self)
        if self._pipelining is not _NONE:
            self.way.pipelined_at = self._engine.clock()
        else:
            self._compare(None)
        self.way.reached(self)
        self._done(self)

    def _rejected(self, error: RemoteError) -> None:
        rejected = self._login if isinstance(error, AuthenticationRejected) else None
        why = error.problem_at(str(self.way.endpoint), self.way.name)
        if rejected is not None:
            why = msgspec.structs.replace(why, remedy=self.way.password_remedy)
        understood = isinstance(error, RequestRefused) and error.reply in UNDERSTOOD
        if self._handshake is not None and self._pipelining is not _NONE and not understood:
            self._start_over(why)
            return
        answers = isinstance(error, RequestRefused) or (
            isinstance(error, ConnectionClosed) and error.stage is _REPLY
        )
        self._fail(DialError(why, server_answers=answers, rejected=rejected))
