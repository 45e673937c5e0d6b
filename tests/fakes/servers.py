"""Servers as the data plane knows them, for tests of what lies above."""

from typing import Any

from fakes.engine import until
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits, ServerConfig
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.net.server import Server, Shared

NOBODY = ("127.0.0.1", 1)
"""An address that refuses."""


LIMITS = Limits()


class Servers(dict[str, Server]):
    """Servers without login by name (`office`, `home`), in the order in which their route has them."""

    def __init__(
        self, engine: Engine, *addresses: tuple[str, int], limits: Limits = LIMITS, **config: Any
    ) -> None:
        super().__init__()
        for name, address in zip(("office", "home"), addresses, strict=False):
            config = {"udp_probe": None, **config}
            server_config = ServerConfig(name=name, address=Endpoint(*address), **config)
            self[name] = Server(engine, server_config, lambda: None, lambda: False, Shared(limits))
            self[name].way.login.settle(None)  # as `settle_login`, without its probe

    @property
    def route(self) -> Route:
        """By all of them."""
        return Route(self, tuple(self))

    async def closed(self) -> None:
        """Close them all."""
        for server in self.values():
            server.close()
        await until(
            lambda: not any(server.udp.broker._sweeping for server in self.values()), "the sweeps have ended"
        )
