"""The demo's server and targets, on a loop in a thread of their own, so that what uses them may block."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from sockslocal.address import Endpoint
from sockslocal.demo.server import DemoServer
from sockslocal.demo.targets import Targets
from sockslocal.socks5.client import Credentials

OPEN_SECONDS = 10.0
"""For the thread to open all, and to close all."""


@contextlib.asynccontextmanager
async def opened(credentials: Credentials | None) -> AsyncIterator[tuple[DemoServer, Endpoint]]:
    """The server with all its targets, and where it listens."""
    targets = Targets()
    try:
        server = DemoServer(await targets.open(), credentials)
        try:
            yield server, await server.open()
        finally:
            await server.close()
    finally:
        await targets.close()


class Stage:
    """Server and targets between entry and exit; `address` is where the server listens."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._opened: Future[tuple[DemoServer, Endpoint]] = Future()
        self._thread = threading.Thread(target=self._run, name="demo-stage", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.server, self.address = self._opened.result(OPEN_SECONDS)
        except OSError:
            self._thread.join(OPEN_SECONDS)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(OPEN_SECONDS)

    def _run(self) -> None:
        # a selector loop on every platform: it is the one that can watch any socket
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        try:
            async with opened(self._credentials) as everything:
                self._opened.set_result(everything)
                await self._ending.wait()
        except OSError as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
