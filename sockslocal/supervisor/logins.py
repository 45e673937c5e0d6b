"""Reads the password of a server, and goes on trying where it cannot be had yet."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sockslocal.config.model import ServerConfig
from sockslocal.errors import CredentialsError, SockslocalError
from sockslocal.net.server import Server
from sockslocal.problems import problem
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.errors import InvalidCredentials

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 30.0
"""Between two attempts, doubling; an attempt is a child process of a tenth of a second."""

ReadPassword = Callable[[ServerConfig], Awaitable[Secret]]

_log = logging.getLogger(__name__)


class LoginKeeper:
    """One for each server; `wanted` is for the server, which comes with `start`."""

    def __init__(self, config: ServerConfig, read: ReadPassword) -> None:
        self._config = config
        self._read = read
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()
        self._reading = False
        self._attempted_at = float("-inf")

    def start(self, server: Server) -> None:
        """Give `server` its login, now or when it can be had."""
        self._server = server
        if self._config.username is None:
            server.settle_login(None)
        else:
            self.refresh()

    def refresh(self) -> None:
        """The password may have changed: read it again, and let dials wait for it."""
        if self._config.username is None or self._server is None:
            return
        self.close()
        self._server.forget_login()
        self._task = asyncio.get_running_loop().create_task(
            self._keep(self._server, self._config.username), name=f"login of {self._config.name}"
        )

    def wanted(self) -> bool:
        """A dial needs the password; whether it is being read, or is now read again."""
        if self._task is None or self._task.done():
            return False
        if self._reading:
            return True
        if asyncio.get_running_loop().time() - self._attempted_at < FIRST_RETRY_S:
            return False
        self._reading = True
        self._sooner.set()
        return True

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _keep(self, server: Server, username: str) -> None:
        """Try until the password is there."""
        pause = FIRST_RETRY_S
        while True:
            answer = await self._attempt(username)
            if not isinstance(answer, SockslocalError):
                server.settle_login(answer)
                return
            _log.warning("! server %s: %s", self._config.name, answer)
            self._sooner.clear()
            self._reading = False
            server.settle_login(answer)
            try:
                async with asyncio.timeout(pause):
                    await self._sooner.wait()
            except TimeoutError:
                pause = min(2 * pause, LAST_RETRY_S)

    async def _attempt(self, username: str) -> Credentials | SockslocalError:
        self._reading = True
        try:
            return Credentials(username, await self._read(self._config))
        except CredentialsError as error:
            return error
        except InvalidCredentials as error:
            return CredentialsError(problem("password-invalid", server=self._config.name, reason=error))
        finally:
            self._attempted_at = asyncio.get_running_loop().time()
