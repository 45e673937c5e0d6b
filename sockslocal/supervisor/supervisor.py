"""The only code that compares what is wanted with what is, and starts, stops and replaces the difference."""

import asyncio
import logging
import os
import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import msgspec
import psutil

from sockslocal import __version__, status
from sockslocal.config.load import load
from sockslocal.config.model import Config, Limits, ServerConfig, TcpForwardConfig, UdpForwardConfig
from sockslocal.errors import ConfigError, ControlError
from sockslocal.forwards.tcp import TcpForward
from sockslocal.forwards.udp import UdpForward
from sockslocal.net.engine import Engine
from sockslocal.net.examination import examine
from sockslocal.net.profiles import ProfileStore
from sockslocal.net.route import Route
from sockslocal.net.server import Server, Shared
from sockslocal.problems import Problem, is_of_the_way, problem
from sockslocal.quoting import listed
from sockslocal.resolver import Memory, Resolver
from sockslocal.supervisor.changes import Changes
from sockslocal.supervisor.dns import DnsService
from sockslocal.supervisor.logins import LoginKeeper, ReadPassword
from sockslocal.supervisor.server_log import ServerLog
from sockslocal.supervisor.server_report import ServerReport, report
from sockslocal.supervisor.services import Service
from sockslocal.supervisor.switches import Switches
from sockslocal.supervisor.turns import Turns

DNS = "dns"
"""What the resolver is called among the forwards."""

DRAIN_LOOK_S = 0.05

CLOSE_S = 3.0
"""For resolvers that are closing when all ends; they set themselves less."""

ForwardConfig = TcpForwardConfig | UdpForwardConfig
Forward = TcpForward | UdpForward

_log = logging.getLogger(__name__)


class Supervisor:
    """Made inside the running loop; `apply` gives it its first configuration."""

    def __init__(
        self,
        engine: Engine,
        switches: Switches,
        read_password: ReadPassword,
        profiles: ProfileStore | None = None,
        answers: Path | None = None,
    ) -> None:
        self._engine = engine
        self._switches = switches
        self._read_password = read_password
        self._profiles = profiles
        self._memory = Memory(answers)
        self._started = time.monotonic()
        self._config: Config | None = None
        self._config_problem: Problem | None = None
        self._servers: dict[str, Server] = {}
        self._keepers: dict[str, LoginKeeper] = {}
        self._forwards: dict[str, Forward] = {}
        self._services: dict[str, Service] = {}
        self._dns: DnsService | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._examinations = Turns()
        self._stops_at: float | None = None
        self.changes = Changes(self.snapshot)

    def reload(self) -> list[str]:
        """Read the configuration again; gives what changed. Raises ConfigError, and all stays as it was.

        Passwords that could not be read are tried again too: what the user mended may have been theirs.
        """
        assert self._config is not None  # noqa: S101  `apply` came first
        try:
            config = _loaded_again(self._config)
        except ConfigError as error:
            self._config_problem = _with_place(error)
            self.changes.poke()
            raise ConfigError(self._config_problem) from None
        self._config_problem = None
        for keeper in self._keepers.values():
            keeper.retry()
        return self.apply(config)

    def apply(self, config: Config) -> list[str]:
        """Make `config` come true; what did not change keeps its connections. Gives what changed."""
        old, self._config = self._config or Config(config.path), config
        changed = self._replace_servers(old, config)
        changed += self._replace_forwards(_forward_configs(old), _forward_configs(config))
        if old.dns != config.dns:
            if self._dns is None or not self._dns.update(config.dns):
                self._replace_dns(config)
            changed.append(DNS)
        self._memory.go_by(config.dns)
        self._reconcile()
        if changed:
            _log.info("= configuration applied: %s", listed(changed))
        self.changes.poke()
        return changed

    def switch(self, names: list[str], *, on: bool) -> None:
        """Switch the forwards `names`, or with none the whole tunnel. Raises ControlError."""
        for name in names:
            if name not in self._services:
                raise self._without_dns() if name == DNS else _unknown("forward", name, self._services)
        if not names:
            self._switches.set_tunnel(on=on)
        for name in names:
            self._switches.set(name, on=on)
        self._reconcile()
        self.changes.poke()

    def credentials_changed(self, name: str) -> None:
        """The password of server `name` may be another now. Raises ControlError for an unknown one."""
        servers = self._config.servers if self._config else {}
        if name not in servers:
            raise _unknown("server", name, servers)
        keeper = self._keepers.get(name)
        if keeper is not None:
            keeper.refresh()

    def recover(self, gone: Collection[str]) -> None:
        """The machine has slept, or its network is another one: have all work again, and keep what lives.

        What speaks from addresses that are `gone` is dead; of what only a server can tell, it is asked.
        """
        self._engine.watchdog.leave(gone)
        for keeper in self._keepers.values():
            keeper.retry()
        doubted = {self._dns} if self._dns else set()
        for name, server in self._servers.items():
            server.recover(partial(self._answers_again, name, doubted))
        if not self._draining:
            for service in self._services.values():
                service.retry()

    def _answers_again(self, name: str, doubted: set[DnsService]) -> None:
        """The server `name` does; what the resolver has by the first that it can use is made anew."""
        self._forget_problems(name)
        for dns in [dns for dns in doubted if name in dns.servers]:
            doubted.discard(dns)
            dns.recover()

    async def examine(self, name: str) -> ServerReport:
        """Find out what the server `name` does; one at a time. Raises ControlError, ServerError."""
        async with self._examinations.turn():
            servers = self._config.servers if self._config else {}
            if name not in servers:
                raise _unknown("server", name, servers)
            if name not in self._servers:
                raise ControlError.of("tunnel-off")
            server = self._servers[name]
            findings = await examine(self._engine, server.way, server.config)
            now = self._servers.get(name)  # a reload may have replaced it
            if now is not None and now.config == server.config:
                now.go_by(findings.profile)
            return report(server.config, findings)

    @property
    def resolver(self) -> Resolver:
        """The running resolver. Raises ControlError, which says what keeps it from running."""
        config = self._config
        if config is None or config.dns is None or self._dns is None:
            raise self._without_dns()
        if not self._switches.tunnel:
            raise ControlError.of("tunnel-off")
        if not config.dns.enabled:
            raise ControlError.of("not-enabled", name=DNS, path=config.path, table=DNS)
        why = self._services[DNS].problem
        if why is not None:
            raise ControlError(why)
        return self._dns.resolver

    def _without_dns(self) -> ControlError:
        return ControlError.of("dns-missing", path=self._config.path if self._config else "the configuration")

    def snapshot(self) -> status.Status:
        """The whole picture now."""
        services = self._services
        self._switches.retry()
        return status.Status(
            daemon=self._daemon_snapshot(),
            tunnel=status.Tunnel(on=self._switches.tunnel),
            servers=self._server_snapshots(),
            forwards={
                name: forward.snapshot(self._state_of(forward, services[name]), services[name].problem)
                for name, forward in self._forwards.items()
            },
            udp=status.Udp(
                associations=sum(server.udp.broker.associations for server in self._servers.values()),
                flows=sum(server.udp.broker.flows for server in self._servers.values()),
            ),
            dns=self._dns.snapshot(services[DNS].state, services[DNS].problem) if self._dns else None,
            problems=tuple(filter(None, self._problems())),
        )

    def _problems(self) -> tuple[Problem | None, ...]:
        """What may be wrong with no server and no forward in particular."""
        return self._config_problem, self._switches.problem, self._engine.budget.problem

    async def drain(self, grace: float) -> None:
        """Accept no TCP connections, and return when none is open any more, or after `grace` seconds.

        From now on nothing is opened that is not open, whatever is reloaded or switched on. What has no
        end to wait for, UDP forwards and the resolver, goes on until `close`.
        """
        deadline = time.monotonic() + grace
        self._stops_at = deadline
        self.changes.poke()
        for service in self._services.values():
            service.stop_retrying()
        for forward in self._forwards.values():
            if isinstance(forward, TcpForward):
                forward.stop_listening()
        while time.monotonic() < deadline and self._open_connections():  # noqa: ASYNC110  they tell nobody
            await asyncio.sleep(DRAIN_LOOK_S)

    @property
    def _draining(self) -> bool:
        return self._stops_at is not None

    def _open_connections(self) -> int:
        tcp = [forward for forward in self._forwards.values() if isinstance(forward, TcpForward)]
        return sum(forward.open_connections for forward in tcp)

    async def close(self) -> None:
        """End everything."""
        self._switches.retry(after_s=0.0)
        for service in self._services.values():
            service.close()
        for name in list(self._servers):
            self._stop_server(name)
        if self._endings:
            await asyncio.wait(self._endings, timeout=CLOSE_S)
        await self._memory.close()

    def _reconcile(self) -> None:
        """Bring servers and services to what configuration and switches want."""
        config = self._config
        if config is None:
            return
        on = self._switches.tunnel
        if on and not self._draining:
            for name, server_config in config.servers.items():
                if name not in self._servers:
                    self._start_server(server_config)
        enabled = {name: forward.enabled for name, forward in _forward_configs(config).items()}
        if config.dns is not None:
            enabled[DNS] = config.dns.enabled
        for name, service in self._services.items():
            may_be_on = service.state != "off" or not self._draining
            service.want(on=on and may_be_on and enabled[name] and self._switches.is_on(name))
        if not on:
            for name in list(self._servers):
                self._stop_server(name)

    def _replace_servers(self, old: Config, new: Config) -> list[str]:
        same = old.limits == new.limits
        changed = _differing(old.servers, new.servers) if same else sorted({*old.servers, *new.servers})
        for name in changed:
            self._stop_server(name)
        return changed

    def _start_server(self, config: ServerConfig) -> None:
        keeper = LoginKeeper(config, self._read_password)
        log = ServerLog(config.name)

        def changed() -> None:
            if log.note(server.state, server.problem):
                self._forget_problems(config.name)
            self.changes.poke()

        limits = self._config.limits if self._config else Limits()
        shared = Shared(limits, self._profiles)
        server = Server(self._engine, config, changed, keeper.wanted, shared)
        self._keepers[config.name] = keeper
        self._servers[config.name] = server
        keeper.start(server)

    def _forget_problems(self, server: str) -> None:
        """What went wrong by the way of `server` is of the past: it is up again."""
        for forward in self._forwards.values():
            trouble = forward.problem
            if server in forward.config.servers and trouble is not None and is_of_the_way(trouble):
                forward.problem = None
        if self._dns is not None and server in self._dns.servers:
            self._dns.forget_problem()

    def _stop_server(self, name: str) -> None:
        if name in self._servers:
            self._keepers.pop(name).close()
            self._servers.pop(name).close()

    def _replace_forwards(
        self, old: Mapping[str, ForwardConfig], new: Mapping[str, ForwardConfig]
    ) -> list[str]:
        changed = _differing(old, new)
        for name in changed:
            if name in self._services:
                self._services.pop(name).close()
                del self._forwards[name]
            if name not in new and not self._switches.is_on(name):
                self._switches.set(name, on=True)  # another forward of that name starts afresh
        for name in new:  # in the order of the file, those that stay too
            forward = self._forwards.pop(name, None) or self._make_forward(new[name])
            self._forwards[name] = forward
            if name not in self._services:
                self._services[name] = Service(self._engine, name, forward, self.changes.poke)
        return changed

    def _make_forward(self, config: ForwardConfig) -> Forward:
        route = Route(self._servers, config.servers)
        if isinstance(config, TcpForwardConfig):
            return TcpForward(self._engine, config, route)
        return UdpForward(self._engine, config, route)

    def _replace_dns(self, config: Config) -> None:
        if DNS in self._services:
            self._services.pop(DNS).close()
            self._dns = None
        if config.dns is not None:
            route = Route(self._servers, config.dns.servers)
            self._dns = DnsService(self._engine, config.dns, route, self._endings, self._memory)
            self._services[DNS] = Service(self._engine, DNS, self._dns, self.changes.poke)

    def _state_of(self, forward: Forward, service: Service) -> status.ForwardState:
        listens_no_more = self._draining and isinstance(forward, TcpForward)
        return "off" if listens_no_more and service.state == "listening" else service.state

    def _daemon_snapshot(self) -> status.Daemon:
        now = time.monotonic()
        return status.Daemon(
            pid=os.getpid(),
            version=__version__,
            uptime_s=round(now - self._started, 3),
            rss_bytes=psutil.Process().memory_info().rss,
            config=str(self._config.path.absolute()) if self._config else "",
            state="running" if self._stops_at is None else "stopping",
            stops_within_s=None if self._stops_at is None else round(max(0.0, self._stops_at - now), 3),
        )

    def _server_snapshots(self) -> dict[str, status.Server]:
        configs = self._config.servers if self._config else {}
        return {
            name: self._servers[name].snapshot()
            if name in self._servers
            else status.Server(address=str(config.address), state="unknown")
            for name, config in configs.items()
        }


def _loaded_again(applied: Config) -> Config:
    """What the file says now. Raises ConfigError, also where all has gone from it."""
    try:
        config = load(applied.path)
    except ConfigError as error:
        if error.problem.code != "config-missing":
            raise
        raise ConfigError(problem("config-vanished", path=applied.path), applied.path) from None
    if _is_empty(config) and not _is_empty(applied):
        raise ConfigError(problem("config-emptied", path=config.path), config.path)
    return config


def _is_empty(config: Config) -> bool:
    """Nothing is in it: while running that is a save that went wrong, and not the wish to end everything."""
    return not (config.servers or config.tcp or config.udp or config.dns)


def _forward_configs(config: Config) -> dict[str, ForwardConfig]:
    return {**config.tcp, **config.udp}


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """The names that were added, removed, or stand for something else now."""
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _unknown(kind: str, name: str, known: Collection[str]) -> ControlError:
    names = f"known are {listed(sorted(known))}" if known else "none is configured"
    return ControlError.of("unknown-name", kind=kind, name=name, known=names)


def _with_place(error: ConfigError) -> Problem:
    """The problem, its text with the line it is about: a status has no other place for that."""
    problem = error.problem
    if error.line is None:
        return problem
    return msgspec.structs.replace(problem, text=f"{error.path}:{error.line}: {problem.text}")
