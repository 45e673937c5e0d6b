"""The daemon's end of the control connection.

It is given its handlers and knows nothing of what they do. Every client is a task with bounded memory: one
request is read and answered at a time, and one who watches has at most one state on the way.
"""

import asyncio
import errno
import hmac
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sockslocal.control import messages
from sockslocal.control.endpoint import Endpoint
from sockslocal.errors import SockslocalError
from sockslocal.problems import Problem, problem
from sockslocal.status import Status

Handler = Callable[[dict[str, Any]], Awaitable[object]]
Watch = Callable[[int], Awaitable[tuple[int, Status]]]

logger = logging.getLogger(__name__)

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much; all times in seconds."""

    clients: int = 64
    opening: float = 3.0  # to show the token
    request: float = 30.0  # from one answer to the end of the next request line
    handler: float = 60.0
    look: float = 0.25  # whether a client whose answer takes long is still there
    drain: float = 5.0  # for a client to take one answer
    farewell: float = 1.0  # on closing, for requests that are being answered
    event_interval: float = 0.2  # between two states for one who watches
    heartbeat: float = 10.0
    accept_pause: float = 0.5  # after running out of descriptors


class _Reserve:
    """Descriptors kept back so that the user can still ask what is wrong when all others are in use."""

    def __init__(self, count: int = 4) -> None:
        self._count = count
        self._held: list[int] = []

    def restore(self) -> None:
        try:
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass  # tried again after the next client

    def release(self) -> None:
        while self._held:
            os.close(self._held.pop())


class ControlServer:
    """Answers requests with `handlers`, and `watch` requests with the states that `watch` returns.

    `watch(seq)` returns the present state at once if its number is greater than `seq`, else waits for the
    next such; numbers start at 0 or above. A handler raises SockslocalError to say what is wrong; whatever
    else it raises is logged and told as `internal`. The endpoint stays the caller's, to close after `close`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        handlers: Mapping[str, Handler],
        watch: Watch,
        *,
        limits: Limits = Limits(),
    ) -> None:
        unknown = handlers.keys() - messages.VERBS.keys()
        if unknown:
            raise ValueError(f"the protocol has no {sorted(unknown)}")
        self._endpoint = endpoint
        self._handlers = handlers
        self._watch = watch
        self._limits = limits
        self._listener: socket.socket | None = None
        self._reserve = _Reserve()
        self._clients: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Listens; raises ControlError `folder-unsafe`."""
        self._listener = self._endpoint.listen()
        self._reserve.restore()
        self._resume()

    async def close(self) -> None:
        """Ends every connection; requests that are being answered get a moment to finish."""
        self._closing = True
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await _end(self._clients - self._answering)
        if self._answering:
            await asyncio.wait(set(self._answering), timeout=self._limits.farewell)
        await _end(set(self._clients))
        self._reserve.release()

    # accepting: by hand, since asyncio's own way logs without end once descriptors have run out

    def _resume(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, _ = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                self._accept_from_reserve(listener)
            return  # else the client left again, and the next one is told of anew
        self._take(peer)

    def _accept_from_reserve(self, listener: socket.socket) -> None:
        self._reserve.release()
        try:
            peer, _ = listener.accept()
        except OSError:
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(self._limits.accept_pause, self._resume)
            return
        self._take(peer)

    def _take(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        if not self._endpoint.admits(peer):
            logger.warning("control: refused a process of another user")
            _turn_away(peer, problem("peer-refused"))
            return
        if len(self._clients) >= self._limits.clients:
            _turn_away(peer, problem("control-busy", limit=self._limits.clients))
            return
        task = asyncio.create_task(self._serve(peer), name="control: client")
        self._clients.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._clients.discard(task)
            peer.close()  # only of use to one that was cancelled before it began
            if not self._closing:
                self._reserve.restore()

        task.add_done_callback(ended)

    # one client

    async def _serve(self, peer: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=peer, limit=messages.MAX_REQUEST)
        writer.transport.set_write_buffer_limits(high=0)  # `drain` then waits until all is with the kernel
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError):  # TimeoutError and IncompleteReadError among them
            pass  # it left, or was too slow: nobody is there to be told
        except Exception:
            logger.exception("control: a connection failed")
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._limits.opening):
            shown = await reader.readexactly(len(self._endpoint.opening))
        if not hmac.compare_digest(shown, self._endpoint.opening):
            logger.warning("control: refused a client that does not know the token")
            return
        while not self._closing:
            line = await self._read_line(reader, writer)
            if line is None:
                return
            try:
                request = messages.decode_request(line)
            except messages.BadRequestError as error:
                await self._send(writer, messages.encode_error(error.request_id, error.problem))
                continue
            if request.do == "watch":
                await self._stream(request.id, reader, writer)
                return
            await self._reply(request, reader, writer)

    async def _read_line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """The next line; None once the client has been told that it is too long."""
        try:
            async with asyncio.timeout(self._limits.request):
                return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            reason = f"the request is longer than {messages.MAX_REQUEST} bytes"
            await self._send(writer, messages.encode_error(None, problem("bad-request", reason=reason)))
            return None

    async def _send(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        writer.write(line)
        async with asyncio.timeout(self._limits.drain):
            await writer.drain()

    async def _reply(
        self, request: messages.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  for mypy: this is a coroutine
        self._answering.add(task)
        try:
            await self._send(writer, await self._answer(request, reader))
        finally:
            self._answering.discard(task)

    async def _answer(self, request: messages.Request, reader: asyncio.StreamReader) -> bytes:
        """The line to send. Raises EOFError where the client has left before there is one."""
        handler = self._handlers.get(request.do)
        if handler is None:
            return messages.encode_error(
                request.id, problem("bad-request", reason=f"{request.do!r} has nothing to act on")
            )
        try:
            try:
                ok = await self._handled(handler(request.parameters), reader)
                return messages.encode_answer(request.id, ok)
            except SockslocalError as error:
                return messages.encode_error(request.id, error.problem)
        except EOFError:
            raise
        except Exception as error:
            logger.exception("control: %s failed", request.do)
            return messages.encode_error(request.id, _internal(request.do, error))

    async def _handled(self, answer: Awaitable[object], reader: asyncio.StreamReader) -> object:
        """What comes of `answer`, which ends where nobody waits for it any more: that raises EOFError."""
        task = asyncio.ensure_future(answer)
        try:
            async with asyncio.timeout(self._limits.handler):
                while not (await asyncio.wait({task}, timeout=self._limits.look))[0]:
                    if reader.at_eof() or reader.exception() is not None:
                        raise EOFError
            return task.result()
        finally:
            await _end({task})

    async def _stream(
        self, request_id: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """States until the client leaves; whatever it says meanwhile counts as leaving."""
        leaving = asyncio.create_task(reader.read(1), name="control: watcher leaving")
        events = asyncio.create_task(self._send_states(request_id, writer), name="control: events")
        try:
            await asyncio.wait({leaving, events}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end({leaving, events})

    async def _send_states(self, request_id: int, writer: asyncio.StreamWriter) -> None:
        seq, first = -1, True
        while True:
            try:
                async with asyncio.timeout(self._limits.heartbeat):
                    seq, status = await self._watch(seq)
                line = messages.encode_state(request_id, seq, status, first=first)
                first = False
            except TimeoutError:
                line = messages.encode_heartbeat(request_id, seq)
            except Exception as error:
                logger.exception("control: watch failed")
                await self._send(writer, messages.encode_error(request_id, _internal("watch", error)))
                return
            await self._send(writer, line)
            await asyncio.sleep(self._limits.event_interval)


def _internal(do: str, error: Exception) -> Problem:
    # the exception's own text may hold anything; the log has it, with secrets cut out
    return problem("internal", reason=f"{do!r} failed with {type(error).__name__}; the log says more")


def _turn_away(peer: socket.socket, why: Problem) -> None:
    """One line, if it fits into the socket's buffer, and the end."""
    try:
        peer.send(messages.encode_error(None, why))
    except OSError:
        pass
    finally:
        peer.close()


async def _end(tasks: set[asyncio.Task[Any]] | set[asyncio.Future[Any]]) -> None:
    """Cancels `tasks` and waits until they have ended; how they end is theirs."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
