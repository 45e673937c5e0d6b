"""The local addresses: whether they are listened on, or could be, and who holds those that could not."""

import errno
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from sockslocal.address import Endpoint, ListenAddress, UnixPath
from sockslocal.doctor.report import Check, Section, failed, troubled
from sockslocal.doctor.scene import Scene
from sockslocal.health import troubles
from sockslocal.holders import find_holder
from sockslocal.problems import Problem, problem
from sockslocal.status import Dns, Forward, Status

_RESOLVER = "resolver"
_MOST = 64  # of a range of addresses, so many are tried


def section(scene: Scene) -> Section:
    """A check for each forward and the resolver, by the daemon's word, or else by trying."""
    checks = _told(scene.status) if scene.status is not None else _tried(scene)
    none = (Check("ports", "Ports", "unknown", "there is nothing to listen for"),)
    return Section("ports", "Ports", tuple(checks) or none)


def _told(status: Status) -> Iterator[Check]:
    wrong = {trouble.about: trouble for trouble in reversed(troubles(status))}
    services: list[tuple[str, str, Forward | Dns]] = [
        (name, f"forward {name}", forward) for name, forward in status.forwards.items()
    ]
    if status.dns is not None:
        services.append(("dns", _RESOLVER, status.dns))
    for name, about, service in services:
        if about in wrong:
            yield troubled(f"ports.{name}", name, wrong[about])
        elif service.state == "off":
            yield Check(f"ports.{name}", name, "unknown", f"{service.listen} is switched off")
        else:
            yield Check(f"ports.{name}", name, "good", f"{service.listen} is listened on")


def _tried(scene: Scene) -> Iterator[Check]:
    """Each address is bound for a moment: nobody else is there to ask."""
    config = scene.config
    for tcp in config.tcp.values():
        if tcp.enabled:
            yield _free(scene, tcp.name, tcp.listen, stream=True)
    for udp in config.udp.values():
        if udp.enabled:
            yield _free(scene, udp.name, udp.listen, stream=False)
    if config.dns is not None and config.dns.enabled:
        yield _free(scene, "dns", config.dns.listen, stream=True)


def _free(scene: Scene, name: str, addresses: tuple[ListenAddress, ...], *, stream: bool) -> Check:
    for address in addresses[:_MOST]:
        found = _obstacle(scene, name, address, stream=stream)
        if found is not None:
            return failed(f"ports.{name}", name, found)
    listed = f"{addresses[0]}{' and the next ones' if len(addresses) > 1 else ''}"
    return Check(f"ports.{name}", name, "good", f"{listed} can be listened on")


def _obstacle(scene: Scene, name: str, address: ListenAddress, *, stream: bool) -> Problem | None:
    """What keeps the daemon from listening on `address`; it may do so, and not answer."""
    if isinstance(address, UnixPath):
        folder = Path(address.path).parent
        return None if folder.is_dir() else _problem("listen-failed", name, address, f"there is no {folder}")
    try:
        _bind(address, stream=stream)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = find_holder(address, stream=stream)
            if holder and holder[0] == scene.pid:
                return None
            return _problem("port-in-use", name, address, holder[1] if holder else "another program")
        if error.errno == errno.EACCES:
            return _problem("listen-denied", name, address, "")
        return _problem("listen-failed", name, address, (error.strerror or str(error)).lower())
    return None


def _bind(address: Endpoint, *, stream: bool) -> None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as probe:
        if stream and sys.platform != "win32":  # as the daemon does: what only ends is no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address.host, address.port))
        if stream:
            probe.listen(1)  # Linux lets two bind with that option, but not listen


def _problem(code: str, name: str, address: ListenAddress, reason: str) -> Problem:
    kind = "resolver" if name == "dns" else "forward"
    remedy = (
        "set listen in [dns] to another address"
        if kind == "resolver"
        else f"sockslocal forward set {name} --listen ADDRESS"
    )
    return problem(code, kind=kind, name=name, listen=address, holder=reason, reason=reason, remedy=remedy)
