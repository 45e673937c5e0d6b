"""What can be asked of the supervisor over the control connection."""

from collections.abc import Awaitable, Callable
from typing import Any

from sockslocal.status import Status
from sockslocal.supervisor.supervisor import Supervisor

Parameters = dict[str, Any]
Handler = Callable[[Parameters], Awaitable[object]]


class Requests:
    """The verbs; `stop` is called with the grace in seconds."""

    def __init__(self, supervisor: Supervisor, stop: Callable[[float], None]) -> None:
        self._supervisor = supervisor
        self._stop = stop

    def table(self) -> dict[str, Handler]:
        """Which verb is answered by what."""
        return {
            "status": self._status,
            "on": self._on,
            "off": self._off,
            "forward.on": self._forward_on,
            "forward.off": self._forward_off,
            "reload": self._reload,
            "stop": self._stop_daemon,
            "credentials.changed": self._credentials_changed,
            "server.test": self._server_test,
            "dns.query": self._dns_query,
            "dns.flush": self._dns_flush,
            "dns.status": self._dns_status,
        }

    async def _status(self, _: Parameters) -> Status:
        return self._supervisor.snapshot()

    async def _on(self, parameters: Parameters) -> Status:
        return self._switch(parameters["names"], on=True)

    async def _off(self, parameters: Parameters) -> Status:
        return self._switch(parameters["names"], on=False)

    async def _forward_on(self, parameters: Parameters) -> Status:
        return self._switch([parameters["name"]], on=True)

    async def _forward_off(self, parameters: Parameters) -> Status:
        return self._switch([parameters["name"]], on=False)

    def _switch(self, names: list[str], *, on: bool) -> Status:
        self._supervisor.switch(names, on=on)
        return self._supervisor.snapshot()

    async def _reload(self, _: Parameters) -> object:
        return {"changed": self._supervisor.reload()}

    async def _stop_daemon(self, parameters: Parameters) -> object:
        self._stop(parameters["grace"])
        return True

    async def _credentials_changed(self, parameters: Parameters) -> Status:
        self._supervisor.credentials_changed(parameters["server"])
        return self._supervisor.snapshot()

    async def _server_test(self, parameters: Parameters) -> object:
        return await self._supervisor.examine(parameters["name"])

    async def _dns_query(self, parameters: Parameters) -> object:
        return await self._supervisor.resolver.query(parameters["name"], parameters["type"])

    async def _dns_flush(self, _: Parameters) -> object:
        return {"removed": self._supervisor.resolver.flush()}

    async def _dns_status(self, _: Parameters) -> object:
        return self._supervisor.resolver.details()
