"""Passwords: whether each can be had, without a prompt and without telling it to anybody."""

import asyncio
from collections.abc import Sequence

from sockslocal import credentials
from sockslocal.config.model import ServerConfig
from sockslocal.doctor.report import Check, Section, Verdict, failed
from sockslocal.doctor.scene import Scene
from sockslocal.errors import CredentialsError

DEADLINE_S = 10.0
"""For a keyring or file to answer: it is asked in a child process, which is killed then."""

_UNTRIED = {
    "command": "{place} was not run: it may ask for something",
    "prompt": "it is asked for when sockslocal starts",
    "systemd": "only the service that systemd starts can read {place}",
}


def section(scene: Scene) -> Section:
    """A check for each server that wants a login."""
    servers = [server for server in scene.config.servers.values() if server.username is not None]
    if not servers:
        return Section("keyring", "Passwords", (Check("keyring", "Keyring", "good", "none is needed"),))
    return Section("keyring", "Passwords", tuple(asyncio.run(_all(scene, servers))))


async def _all(scene: Scene, servers: Sequence[ServerConfig]) -> list[Check]:
    return await asyncio.gather(*(_check(scene, server) for server in servers))


async def _check(scene: Scene, server: ServerConfig) -> Check:
    id_, source = f"keyring.{server.name}", server.password_from
    if source.kind in _UNTRIED:
        text = _UNTRIED[source.kind].format(place=source.place)
        return Check(id_, server.name, "unknown", text)
    try:
        await credentials.read(server, deadline=DEADLINE_S)
    except CredentialsError as error:
        return failed(id_, server.name, error.problem, _verdict(scene, server.name))
    return Check(id_, server.name, "good", f"{source.place} has the password of {server.username}")


def _verdict(scene: Scene, server: str) -> Verdict:
    """What the daemon has already it does not need for now."""
    status = scene.status
    known = status.servers.get(server) if status is not None else None
    return "note" if known is not None and known.state == "up" else "bad"
