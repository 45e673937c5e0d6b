"""How to get to a server and to log in there."""

from dataclasses import dataclass

from sockslocal.address import Endpoint
from sockslocal.net.login import Login
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.problems import Problem, problem


@dataclass(frozen=True, slots=True)
class Way:
    """What every dial to one server shares; `connect_timeout` in seconds.

    `password_remedy` is what the user does about a password that is wrong.
    """

    name: str
    endpoint: Endpoint
    addresses: ServerAddresses
    login: Login
    connect_timeout: float
    password_remedy: str

    def problem(self, code: str, **details: object) -> Problem:
        """The registry's problem `code`, about this server."""
        return problem(code, address=self.endpoint, server=self.name, **details)
