"""The resolver as a service: made anew each time it is switched on."""

import asyncio

import msgspec

from sockslocal import status
from sockslocal.config.model import DnsConfig
from sockslocal.errors import ControlError
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.problems import Problem
from sockslocal.resolver import Memory, Resolver
from sockslocal.supervisor.system_method import SystemMethod
from sockslocal.system_dns.system import System

CLOSE_GRACE_S = 1.0
"""For queries that wait when the resolver is switched off."""


class DnsService:
    """Openable; its closing goes on in the background, in a task that is put into `endings` and leaves it.

    What it is told stays in `memory`, which outlives it.
    """

    def __init__(
        self,
        engine: Engine,
        config: DnsConfig,
        route: Route,
        endings: set[asyncio.Task[None]],
        memory: Memory,
    ) -> None:
        self._engine = engine
        self._config = config
        self._route = route
        self._resolver: Resolver | None = None
        self._endings = endings
        self._memory = memory
        self._system_method = SystemMethod({endpoint.port for endpoint in config.listen}, System())

    def open(self) -> None:
        resolver = Resolver(self._config, self._route, self._engine, self._memory)
        resolver.open()
        self._resolver = resolver

    def close(self) -> None:
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            resolver.stop_listening()
            task = asyncio.get_running_loop().create_task(resolver.close(CLOSE_GRACE_S), name="dns: close")
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    def update(self, config: DnsConfig | None) -> bool:
        """Go by `config` from now on without closing anything; False where that cannot be."""
        if config is None or not self._listens_and_asks_as(config):
            return False
        self._config = config
        if self._resolver is not None:
            self._resolver.update(config)
        return True

    def _listens_and_asks_as(self, config: DnsConfig) -> bool:
        mine = self._config
        return (config.listen, config.upstreams, config.servers, config.enabled) == (
            mine.listen,
            mine.upstreams,
            mine.servers,
            mine.enabled,
        )

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of those that it goes through."""
        return self._config.servers

    def recover(self) -> None:
        """The network may be another one."""
        if self._resolver is not None:
            self._resolver.recover()

    def forget_problem(self) -> None:
        """What went wrong with queries is of the past."""
        if self._resolver is not None:
            self._resolver.forget_problem()

    @property
    def resolver(self) -> Resolver:
        """The running one. Raises ControlError where there is none."""
        if self._resolver is None:
            raise ControlError.of("dns-off")
        return self._resolver

    def snapshot(self, state: status.ForwardState, problem: Problem | None) -> status.Dns:
        """What to show, where the supervisor knows `state` and the `problem` with it."""
        if self._resolver is None:
            listen = ", ".join(str(endpoint) for endpoint in self._config.listen)
            return status.Dns(listen=listen, server=self._route.name, state=state, problem=problem)
        shown = self._resolver.status()
        return msgspec.structs.replace(
            shown,
            server=self._route.name,
            state=state,
            problem=problem or shown.problem,
            system=self._system_method.now,
        )
