"""What the log says of a server."""

import logging

from sockslocal import status
from sockslocal.problems import Problem

_UP = "up"
_PASSING: set[status.ServerState] = {"connecting", "unknown"}

_log = logging.getLogger(__name__)


class ServerLog:
    """A line when the server `name` goes up, and one when it goes down, however often it is dialled.

    While it is down, each problem is told once.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[str] = set()

    def note(self, state: status.ServerState, problem: Problem | None) -> bool:
        """The server may be in another state than before; gives whether it went up."""
        if state == _UP:
            if _UP in self._told:
                return False
            self._told = {_UP}
            _log.info("= server %s is up", self._name)
            return True
        if problem is not None and state not in _PASSING and problem.code not in self._told:
            self._told.discard(_UP)
            self._told.add(problem.code)
            _log.warning("! server %s is down: %s", self._name, problem.text)
        return False
