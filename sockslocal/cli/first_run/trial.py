"""Tries answers out by a daemon with a configuration of its own, of which nothing stays."""

import contextlib
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from sockslocal.address import Endpoint
from sockslocal.cli import background
from sockslocal.config import edit
from sockslocal.config.edit import Wish
from sockslocal.control.client import Client
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.secret import Secret

TEST_S = 20.0
"""More than the daemon takes for a server, or for a name."""

ANSWER_S = 12.0
"""For a target to be reached: longer than servers are given to say that it cannot be."""

Answer = Literal["answers", "silent"]


class Trial:
    """One at a time: a server is tried first, and the rest goes through it."""

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def server(self, wish: Wish, password: Secret | None) -> dict[str, Any]:
        """What the server does, as `server test` has it. Raises SockslocalError.

        With a `password` that is used, else the one that the wish says where to find.
        """
        self._stack.close()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sockslocal-")))
        self._paths = Paths(config=folder / "config.toml", runtime=folder / "run", state=folder / "state")
        self._client = Client(self._paths, deadline=TEST_S)
        name = wish.where[-1]
        edit.put(self._paths.config, [wish])
        secrets = {} if password is None else {name: password}
        self._stack.enter_context(background.leashed(self._paths, secrets))
        report: dict[str, Any] = self._client.call("server.test", name=name)
        return report

    def forward(self, wish: Wish, port: int) -> Answer:
        """Whether the target of the forward, which listens on `port`, answers. Raises SockslocalError.

        Of a UDP forward only that it listens can be known.
        """
        kind, name = wish.where
        edit.put(self._paths.config, [wish])
        try:
            self._client.call("reload")
            found = self._client.status().forwards[name]
            answer: Answer = "silent"
            if found.state == "listening" and kind == "tcp":
                answer = _reach(Endpoint("127.0.0.1", port))
                found = self._client.status().forwards[name]
        finally:
            edit.remove_forward(self._paths.config, name)
            with contextlib.suppress(SockslocalError):  # what is wrong is told already
                self._client.call("reload")  # its port is to be free at once
        if found.problem is not None:
            raise SockslocalError(found.problem)
        return answer

    def resolver(self, wish: Wish) -> str:
        """Why names cannot be looked up, empty where they can. Raises SockslocalError."""
        edit.put(self._paths.config, [wish])
        self._client.call("reload")
        result = self._client.call("dns.query", name="example.com", type="A")
        known = result["rcode"] in ("NOERROR", "NXDOMAIN")
        return "" if known else str(result["error"] or f"the answer is {result['rcode']}")


def _reach(address: Endpoint) -> Answer:
    """Connect and say at once that nothing will come: most end then, some say something first."""
    with contextlib.suppress(OSError), socket.create_connection(address, ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        return "answers"
    return "silent"
