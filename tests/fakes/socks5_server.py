"""A SOCKS5 server (RFC 1928, RFC 1929) that misbehaves as scripted and remembers what it was sent.

    with FakeServer(credentials=(b"ana", b"secret")) as server:
        server.script = Script(at=Stage.METHOD, act=Act.RESET)   # every connection from now on
        server.scripts.append(Script(reply=5))                   # only the next one
        server.cases[UDP_ASSOCIATE] = Script(reply=7)            # from the request on, by its command
        server.cases["db.internal"] = Script(reply=4)            # or by its target, which counts more
        server.switch(UdpScript(fault=UdpFault.DROP))            # datagrams that are carried already

It runs in a thread of its own, so that tests may block. `names` says where host names lead; others go to the
system's resolver, and as targets of datagrams nowhere.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from fakes.loop_thread import LoopThread
from fakes.socks5_counts import Counts
from fakes.socks5_link import abort
from fakes.socks5_passage import Passage
from fakes.socks5_script import Act, Named, PortRule, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_session import Cases, Session
from fakes.socks5_wire import Address

__all__ = [
    "Act",
    "FakeServer",
    "Named",
    "PortRule",
    "Script",
    "Session",
    "Stage",
    "StreamFormat",
    "UdpFault",
    "UdpScript",
]


class FakeServer:
    """Listens from entry to exit; `stop` and `start` make it vanish and return, on the same port or another.

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
        self.cases: Cases = {}
        self.names: dict[str, Address] = {}
        self.most_associations: int | None = None
        """Above so many at a time, they get REP 1."""
        self.sessions: list[Session] = []
        """Every connection ever accepted, oldest first."""
        self.counts = Counts()
        self._thread = LoopThread()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self._family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._place = self._take_place()
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

    @property
    def passages(self) -> list[Passage]:
        """Where datagrams pass or passed, by relays and by streams, oldest first."""
        return [session.passage for session in self.sessions if session.passage]

    def start(self) -> None:
        """Listen, again after `stop`."""
        self._thread.call(self._start())

    def stop(self) -> None:
        """Refuse new connections and reset all that are open, as a server that is killed does."""
        self._thread.call(self._stop())

    def move(self) -> None:
        """Stop, and listen on another port."""
        self.stop()
        old, self.port = self._place, 0
        self._place = self._take_place()
        old.close()
        self.start()

    def inject(self, session: Session, datagram: bytes, *, from_elsewhere: bool) -> None:
        """Send `datagram` to the client of the association of `session`."""
        self._do(lambda: _inject(session, datagram, from_elsewhere))

    def inject_all(self, session: Session, datagrams: Iterable[bytes]) -> None:
        """Send all of `datagrams` from the relay itself, without a pause."""

        def send() -> None:
            for datagram in datagrams:
                _inject(session, datagram, from_elsewhere=False)

        self._do(send)

    def switch(self, script: UdpScript) -> None:
        """What carries datagrams already goes on by `script`."""
        self._with_each(lambda passage: passage.switch(script))

    def kill_relays(self) -> None:
        """No relay and no stream passes anything more; their TCP connections stay open."""
        self._with_each(lambda passage: passage.close())

    def end_associations(self) -> None:
        """Close the TCP connections of all that carries datagrams, and with them what they carry."""
        self._with_each(lambda passage: passage.control_lost.set())

    def target(self, address: Address) -> Address:
        """Where `address` leads."""
        host, port = self.names.get(address[0], address)
        return host, port or address[1]

    def _take_place(self) -> socket.socket:
        place = socket.socket(self._family, socket.SOCK_STREAM)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(self.address)
        self.port = place.getsockname()[1]
        return place

    def _with_each(self, act: Callable[[Passage], None]) -> None:
        def act_on_all() -> None:
            for passage in self.passages:
                act(passage)

        self._do(act_on_all)

    def _do(self, act: Callable[[], object]) -> None:
        """Call `act` in the server's loop."""

        async def do() -> None:
            act()

        self._thread.call(do())

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
        for passage in self.passages:  # some outlive their connections
            passage.close()

    def _has_room(self) -> bool:
        return self.most_associations is None or self.counts.associations.now < self.most_associations

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            script = self.scripts.popleft() if self.scripts else self.script
            session = Session(
                connection,
                script,
                credentials=self.credentials,
                resolve=self.target,
                cases=self.cases,
                has_room=self._has_room,
                counts=self.counts,
            )
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


def _inject(session: Session, datagram: bytes, from_elsewhere: bool) -> None:  # noqa: FBT001 (private)
    if session.relay is None:
        raise ValueError("the session has no association")
    with contextlib.suppress(OSError):
        session.relay.send_to_client(datagram, from_elsewhere=from_elsewhere)
