"""How to get to a server and to log in there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockslocal.address import Endpoint
from sockslocal.net.login import Login
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.tls import Tls
from sockslocal.problems import Problem, problem
from sockslocal.socks5.client import Pipelining

if TYPE_CHECKING:
    from sockslocal.net.dialer import Dial, DialError


@dataclass(slots=True)
class Way:
    """What every dial to one server shares; `connect_timeout` in seconds.

    `password_remedy` is what the user does about a password that is wrong. With `tls`, all that is said to
    the server is said inside TLS. Whoever keeps the server's state hears how each dial ended: `reached` or
    `missed`, before who dialled does; and `doubted` where the server may not bear the pipelining after all.
    """

    name: str
    endpoint: Endpoint
    addresses: ServerAddresses
    login: Login
    connect_timeout: float
    password_remedy: str
    reached: "Callable[[Dial], None]"
    missed: "Callable[[DialError], None]"
    doubted: Callable[[], None]
    tls: Tls | None = None
    pipelining: Pipelining = Pipelining.NONE
    """What the server bears, as long as nothing speaks against it."""
    pipelined_at: float = 0.0
    """When a request that was pipelined has been granted, in seconds of the clock."""

    def problem(self, code: str, **details: object) -> Problem:
        """The registry's problem `code`, about this server."""
        return problem(code, address=self.endpoint, server=self.name, **details)
