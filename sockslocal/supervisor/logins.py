"""Reads the password of a server, and goes on trying where it cannot be had yet."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sockslocal.config.model import ServerConfig
from sockslocal.credentials.limits import unusable
from sockslocal.errors import CredentialsError, SockslocalError
from sockslocal.net.backoff import Backoff
from sockslocal.net.server import Server
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.errors import InvalidCredentials

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 30.0
"""Between two attempts at a keyring or a file, doubling; an attempt is a child process of 0.1 s."""

PATIENCE_S = 30.0
"""Between two attempts at a command or the like, where a dial wants it: each may ask the user something."""

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
        self._sooner_from = 0.0

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

    def retry(self) -> None:
        """Read the password now, where it could not be had."""
        if self._task is not None and not self._task.done():
            self._reading = True
            self._sooner.set()

    def wanted(self) -> bool:
        """A dial needs the password; whether it is being read, or is now read again."""
        if self._task is None or self._task.done():
            return False
        if not self._reading and asyncio.get_running_loop().time() >= self._sooner_from:
            self.retry()
        return self._reading

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _keep(self, server: Server, username: str) -> None:
        """Try until the password is there."""
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        while True:
            self._sooner.clear()
            self._reading = True
            answer = await self._attempt(username)
            self._reading = False
            if not isinstance(answer, SockslocalError):
                server.settle_login(answer)
                return
            bothers_nobody = self._bothers_nobody(answer.problem.code)
            patience = FIRST_RETRY_S if bothers_nobody else PATIENCE_S
            self._sooner_from = asyncio.get_running_loop().time() + patience
            server.settle_login(answer)
            pause = backoff.next()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if bothers_nobody else None):
                    await self._sooner.wait()

    def _bothers_nobody(self, code: str) -> bool:
        """Whether to read again costs no more than a process; a keyring may be locked, or not there yet."""
        kind = self._config.password_from.kind
        if kind == "keyring":
            return code != "password-missing"  # `login` tells when it is there
        return code == "needs-unlock" or kind in ("file", "systemd")

    async def _attempt(self, username: str) -> Credentials | SockslocalError:
        try:
            return Credentials(username, await self._read(self._config))
        except CredentialsError as error:
            return error
        except InvalidCredentials as error:
            return unusable(self._config.name, str(error))
        except Exception as error:  # noqa: BLE001  a bug there must not leave the dials waiting
            _log.exception("! server %s: the password cannot be read", self._config.name)
            return CredentialsError.of("internal", reason=f"{type(error).__name__} was raised")
