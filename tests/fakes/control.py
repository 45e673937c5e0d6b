"""A daemon's control side with handlers of a test's own, in a thread; and a state to show."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fakes.loop_thread import LoopThread
from sockslocal.control.endpoint import Transport, claim
from sockslocal.control.server import ControlServer, Handler, Limits
from sockslocal.paths import Paths
from sockslocal.status import Daemon, Status, Tunnel, Udp


def status(**changes: Any) -> Status:
    """A daemon with nothing configured, changed as said."""
    parts: dict[str, Any] = {
        "daemon": Daemon(pid=4711, version="0.1.0", uptime_s=12.5, rss_bytes=31_000_000),
        "tunnel": Tunnel(on=True),
        "servers": {},
        "forwards": {},
        "udp": Udp(),
    }
    return Status(**{**parts, **changes})


@contextlib.contextmanager
def short_paths() -> Iterator[Paths]:
    """Places of a test's own, short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        root = Path(folder)
        yield Paths(config=root / "config.toml", runtime=root / "run", state=root / "state")


def stopping(seconds: float) -> Daemon:
    """A daemon that has been told to stop, and has `seconds` left for what is open."""
    return Daemon(4711, "0.1.0", 12.5, 31_000_000, state="stopping", stops_within_s=seconds)


def using(config: Path) -> Daemon:
    """A daemon that uses the file `config`."""
    return Daemon(4711, "0.1.0", 12.5, 31_000_000, config=str(config))


class States:
    """A state that a test changes, and the `watch` that tells of it."""

    def __init__(self, first: Status) -> None:
        self.seq = 0
        self.status = first
        self._changed = asyncio.Event()

    async def set(self, state: Status) -> None:
        """Make `state` the present one."""
        self.seq += 1
        self.status = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, seq: int) -> tuple[int, Status]:
        """The present state once its number is greater than `seq`."""
        while self.seq <= seq:
            await self._changed.wait()
        return self.seq, self.status


class FakeDaemon:
    """A running control server; `calls` are the requests that its handlers were given."""

    def __init__(self, paths: Paths, loop: LoopThread, states: States, server: ControlServer) -> None:
        self.paths = paths
        self.server = server
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._loop = loop
        self._states = states

    def set(self, state: Status) -> None:
        """Make `state` the present one."""
        self._loop.call(self._states.set(state))

    def close(self) -> None:
        """End the server, as a daemon does that stops."""
        self._loop.call(self.server.close())


@contextlib.contextmanager
def fake_daemon(
    paths: Paths,
    handlers: Mapping[str, Handler] | None = None,
    *,
    first: Status | None = None,
    limits: Limits | None = None,
    transport: Transport | None = None,
) -> Iterator[FakeDaemon]:
    """A control server with `handlers`, and a `status` handler where they have none."""
    with LoopThread() as loop, claim(paths, transport) as endpoint:
        states = States(first or status())
        calls: list[tuple[str, dict[str, Any]]] = []

        async def tell(_parameters: dict[str, Any]) -> Status:
            return states.status

        def recorded(verb: str, handler: Handler) -> Handler:
            async def handle(parameters: dict[str, Any]) -> object:
                calls.append((verb, parameters))
                return await handler(parameters)

            return handle

        table = {
            verb: recorded(verb, handler) for verb, handler in {"status": tell, **(handlers or {})}.items()
        }
        server = ControlServer(endpoint, table, states.watch, limits=limits or Limits())
        daemon = FakeDaemon(paths, loop, states, server)
        daemon.calls = calls
        loop.call(server.start())
        try:
            yield daemon
        finally:
            daemon.close()
