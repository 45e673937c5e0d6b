"""What listens: open where it is wanted, and tried again where it could not be opened."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from sockslocal import status
from sockslocal.errors import ListenError
from sockslocal.net.backoff import Backoff
from sockslocal.net.engine import Engine
from sockslocal.problems import Problem

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 30.0
"""Until a port that is in use is tried again; doubling."""

_log = logging.getLogger(__name__)


class Openable(Protocol):
    """A forward or the resolver; after `close` it may be opened again."""

    def open(self) -> None:
        """Listen; raises ListenError."""

    def close(self) -> None:
        """Stop listening and end what goes on."""


class Service:
    """Holds one thing at the state that is wanted."""

    def __init__(self, engine: Engine, name: str, thing: Openable, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._name = name
        self._thing = thing
        self._changed = changed
        self._retry: asyncio.TimerHandle | None = None
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self.state: status.ForwardState = "off"
        self.problem: Problem | None = None

    def want(self, *, on: bool) -> None:
        """Be on or off from now on."""
        if on and self.state == "off":
            self._open()
        elif not on and self.state != "off":
            self.close()

    def close(self) -> None:
        """Be off."""
        self.stop_retrying()
        self._backoff.reset()
        self._thing.close()
        self._set("off", None)

    def retry(self) -> None:
        """Open now what could not be opened."""
        if self.state == "error":
            self._backoff.reset()
            self._open()

    def stop_retrying(self) -> None:
        """Leave what could not be opened as it is."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _open(self) -> None:
        self.stop_retrying()
        try:
            self._thing.open()
        except ListenError as error:
            if self.state != "error":
                _log.warning("! %s", error)
            self._set("error", error.problem)
            self._retry = self._engine.poller.later(self._backoff.next(), self._open)
        else:
            _log.info("= %s is listening", self._name)
            self._set("listening", None)

    def _set(self, state: status.ForwardState, problem: Problem | None) -> None:
        if (state, problem) != (self.state, self.problem):
            self.state, self.problem = state, problem
            self._changed()
