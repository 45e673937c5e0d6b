"""The ways in which all that carries datagrams dies at once, on the server's side."""

from collections.abc import Callable

from fakes.socks5_server import FakeServer


def restart(server: FakeServer) -> None:
    """As a server does whose machine is rebooted."""
    server.stop()
    server.start()


DEATHS: dict[str, Callable[[FakeServer], None]] = {
    "relay killed": FakeServer.kill_relays,
    "connection closed": FakeServer.end_associations,
    "server restarted": restart,
}
