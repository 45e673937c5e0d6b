"""A SOCKS5 server (RFC 1928, RFC 1929) that misbehaves as scripted and remembers what it was sent.

    with FakeServer(credentials=(b"ana", b"secret")) as server:
        server.script = Script(at=Stage.METHOD, act=Act.RESET)   # every connection from now on
        server.scripts.append(Script(reply=5))                   # only the next one

It runs in a thread of its own, so that tests may block. `names` says where host names lead; others go to the
system's resolver.
"""

import asyncio
import contextlib
import socket
from collections import deque
from types import TracebackType
from typing import Self

from fakes.loop_thread import LoopThread
from fakes.socks5_script import Act, Script, Stage, UdpFault, UdpScript
from fakes.socks5_session import Session, abort
from fakes.socks5_wire import Address

__all__ = ["Act", "FakeServer", "Script", "Session", "Stage", "UdpFault", "UdpScript"]


class FakeServer:
    """Listens from entry to exit; `stop` and `start` make it vanish and return on the same port.

    Meanwhile a socket that does not listen keeps the port, so that no other program is given it.
    """

    def __init__(
        self, *, credentials: tuple[bytes, bytes] | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.credentials = credentials
        self.host = host
        self.port = port
        self.script = Script()
        self.scripts: deque[Script] = deque()
        self.names: dict[str, Address] = {}
        self.sessions: list[Session] = []
        """Every connection ever accepted, oldest first."""
        self._thread = LoopThread()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self._family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._place = socket.socket(self._family, socket.SOCK_STREAM)
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(self.address)
        self.port = self._place.getsockname()[1]
        self._thread.__enter__()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.__exit__(kind, error, trace)
        self._place.close()

    @property
    def address(self) -> Address:
        return self.host, self.port

    def start(self) -> None:
        """Listen, again after `stop`."""
        self._thread.call(self._start())

    def stop(self) -> None:
        """Refuse new connections and reset all that are open, as a server that is killed does."""
        self._thread.call(self._stop())

    def inject(self, session: Session, datagram: bytes, *, from_elsewhere: bool) -> None:
        """Send `datagram` to the client of the association of `session`."""
        self._thread.call(_inject(session, datagram, from_elsewhere))

    def target(self, address: Address) -> Address:
        """Where `address` leads."""
        host, port = self.names.get(address[0], address)
        return host, port or address[1]

    async def _start(self) -> None:
        self._listener = socket.create_server(self.address, family=self._family, backlog=1024)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    async def _stop(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            script = self.scripts.popleft() if self.scripts else self.script
            session = Session(connection, script, credentials=self.credentials, resolve=self.target)
            self.sessions.append(session)
            task = asyncio.create_task(self._serve(session))
            self._tasks.add(task)
            task.add_done_callback(lambda task: self._served(task, session))

    async def _serve(self, session: Session) -> None:
        try:
            await session.run()
        except (OSError, EOFError, ValueError, KeyError) as error:
            session.error = error

    def _served(self, task: asyncio.Task[None], session: Session) -> None:
        """Also of a task that was cancelled before it began."""
        self._tasks.discard(task)
        if task.cancelled():
            abort(session.connection)
        session.close()


async def _inject(session: Session, datagram: bytes, from_elsewhere: bool) -> None:  # noqa: FBT001 (private)
    if session.relay is None:
        raise ValueError("the session has no association")
    with contextlib.suppress(OSError):
        session.relay.send_to_client(datagram, from_elsewhere=from_elsewhere)
