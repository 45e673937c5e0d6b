"""How all is: from a `Status` to what is wrong, worst first and one trouble for each cause, and to one word.

The icon, the menu, `status` and the notifications all ask here, so that none shows more than another.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from sockslocal.problems import REGISTRY, ExitCode, Problem, Severity, is_of_the_way, problem
from sockslocal.status import Dns, Forward, Status

State = Literal["off", "connecting", "up", "degraded", "failed", "needs-unlock"]
Category = Literal["keyring", "config", "server", "resolver", "forward", "system-dns", "daemon"]

_BY_SEVERITY: tuple[Severity, ...] = ("locked", "error", "warning", "info")


class Trouble(msgspec.Struct, frozen=True):
    """One cause of what is wrong, to be shown once it has lasted `after_s` seconds.

    `about` is `server NAME`, `forward NAME`, `resolver` or `daemon`.
    """

    problem: Problem
    severity: Severity
    after_s: float
    about: str

    @property
    def category(self) -> Category:
        """What kind of thing it is, whichever of them: of each kind one notification is enough."""
        code = self.problem.code
        if _exit_code(code) == ExitCode.CREDENTIALS:
            return "keyring"
        if code.startswith("system-dns-"):
            return "system-dns"
        if code.startswith("config-"):
            return "config"
        kind = self.about.partition(" ")[0]
        return kind if kind in ("server", "resolver", "forward") else "daemon"  # type: ignore[return-value]

    @property
    def needs_person(self) -> bool:
        """Whether it will not heal by itself."""
        return self.after_s == 0


def troubles(status: Status | None, absence: Problem | None = None) -> tuple[Trouble, ...]:
    """What is wrong, worst first, one for each cause: ten forwards behind a dead server are one.

    Without a status `absence` is why there is none, by default that no daemon runs.
    """
    if status is None:
        return (_trouble(absence or problem("not-running"), "daemon"),)
    found: dict[Problem, Trouble] = {}
    for trouble in _causes(status):
        found.setdefault(trouble.problem, trouble)
    return tuple(sorted(found.values(), key=lambda trouble: _BY_SEVERITY.index(trouble.severity)))


def _causes(status: Status) -> Iterator[Trouble]:
    for found in status.problems:
        yield _trouble(found, "daemon")
    in_use = {service.server for service in _services(status)} or status.servers.keys()
    for name, server in status.servers.items():
        if server.problem is not None:
            spare: Severity = "locked" if name in in_use else "warning"
            yield _trouble(server.problem, f"server {name}", at_most=spare if status.tunnel.on else "info")
    if status.dns is not None:
        yield from _of_service(status, status.dns, "resolver")
    for name, forward in status.forwards.items():
        yield from _of_service(status, forward, f"forward {name}")


def _of_service(status: Status, service: Forward | Dns, about: str) -> Iterator[Trouble]:
    found = service.problem
    if found is None:
        return
    of_the_way = is_of_the_way(found)
    if not (of_the_way or found.code == "dns-no-upstream") or not _is_server_in_trouble(status, service):
        yield _trouble(found, f"server {service.server}" if of_the_way else about)


def _is_server_in_trouble(status: Status, service: Forward | Dns) -> bool:
    server = status.servers.get(service.server)
    return server is not None and server.problem is not None


def _trouble(found: Problem, about: str, *, at_most: Severity = "locked") -> Trouble:
    """The trouble, made little of where nothing, or nobody now, goes that way."""
    kind = REGISTRY.get(found.code)  # a newer daemon knows others
    severity: Severity = max(kind.severity if kind else "error", at_most, key=_BY_SEVERITY.index)
    return Trouble(found, severity, kind.after_s if kind else 0.0, about)


def _exit_code(code: str) -> ExitCode:
    kind = REGISTRY.get(code)
    return kind.exit_code if kind else ExitCode.FAILED


def _services(status: Status) -> list[Forward | Dns]:
    """The forwards and the resolver, as far as they are switched on."""
    services: list[Forward | Dns] = [*status.forwards.values()]
    if status.dns is not None:
        services.append(status.dns)
    return [service for service in services if service.state != "off"]


def state(status: Status | None, shown: Sequence[Trouble]) -> State:
    """All in one word, given the troubles that have lasted long enough to be shown.

    Without servers there is nothing to carry: `off`.
    """
    severities = {trouble.severity for trouble in shown}
    if status is None:
        return "failed" if "error" in severities else "off"
    if not status.tunnel.on or not status.servers or status.daemon.state == "stopping":
        return "off"
    if "locked" in severities:
        return "needs-unlock"
    if "error" in severities:
        bad = {trouble.problem for trouble in shown if trouble.severity == "error"}
        return "failed" if _nothing_works(status, bad) else "degraded"
    if all(server.latency_ms is None and server.state != "up" for server in status.servers.values()):
        return "connecting"
    return "degraded" if "warning" in severities else "up"


def _nothing_works(status: Status, bad: set[Problem]) -> bool:
    """Whether each forward and the resolver has one of the `bad` problems, itself or by its server.

    Where there are none yet, the servers speak for them.
    """
    services = _services(status)
    if not services:
        return all(server.problem in bad for server in status.servers.values())
    for service in services:
        server = status.servers.get(service.server)
        if service.problem not in bad and (server is None or server.problem not in bad):
            return False
    return True


class Patience:
    """Keeps back what has not lasted long enough to be shown; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self.next_at: float | None = None
        """When to look again though nothing has changed; None where that is not needed."""
        self._since: dict[tuple[str, Category], float] = {}

    def seen(self, troubles: Sequence[Trouble], now: float) -> tuple[Trouble, ...]:
        """Those of the `troubles` of this moment that have lasted, in their order.

        A server that fails now in this way and now in that has one trouble all the time.
        """
        keys = {trouble: (trouble.about, trouble.category) for trouble in troubles}
        self._since = {key: self._since.get(key, now) for key in keys.values()}
        shown_from = {trouble: self._since[key] + trouble.after_s for trouble, key in keys.items()}
        self.next_at = min((at for at in shown_from.values() if at > now), default=None)
        return tuple(trouble for trouble in troubles if shown_from[trouble] <= now)
