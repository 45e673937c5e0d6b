"""The network behind the demo's server: names and addresses that exist nowhere else.

Each service is a socket on loopback with a port of its own; who comes through the server reaches it by a name
or an address of RFC 5737 and RFC 2606, under the port that such a service has. So it shows that names and
addresses mean what they mean on the far side.
"""

from typing import Literal, NamedTuple

from sockslocal.address import Endpoint, is_loopback
from sockslocal.socks5.messages import Reply

Transport = Literal["tcp", "udp"]


class Unreachable(Exception):  # noqa: N818  it is what the client is told
    """There is no way to the target; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.name)
        self.reply = reply


class Place(NamedTuple):
    """A service: the address it is known by behind the server, and the socket that it really is."""

    public: Endpoint
    actual: Endpoint


class Network:
    """Hosts by name, and their services by address and port."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self.hosts = hosts
        self._services: dict[tuple[Transport, Endpoint], Endpoint] = {}

    def add(self, transport: Transport, name: str, port: int, actual: Endpoint) -> None:
        """The host `name` has a service at `port`, which is listening at `actual`."""
        self._services[transport, Endpoint(self.hosts[name], port)] = actual

    def locate(self, transport: Transport, target: Endpoint) -> Place:
        """Where `target` leads; a literal loopback address leads to itself. Raises Unreachable."""
        if is_loopback(target.host):
            return Place(target, target)
        host = self.hosts.get(target.host, target.host)
        if host not in self.hosts.values():
            raise Unreachable(Reply.HOST_UNREACHABLE)
        public = Endpoint(host, target.port)
        actual = self._services.get((transport, public))
        if actual is None:
            raise Unreachable(Reply.CONNECTION_REFUSED)
        return Place(public, actual)
