"""Tells the service manager how it goes."""

import asyncio

from sockslocal.net.poller import Poller
from sockslocal.service_manager import ServiceManager
from sockslocal.status import Status
from sockslocal.supervisor.changes import Changes


class Reporter:
    """From `start` to `stop`; that all goes on is told only while the loop turns and the poller works."""

    def __init__(self, manager: ServiceManager, changes: Changes, poller: Poller) -> None:
        self._manager = manager
        self._changes = changes
        self._poller = poller
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """All that is to listen does."""
        self._tell()  # before: who waits for the start reads it at once
        self._manager.ready()
        self._beat()

    async def run(self) -> None:
        """Tell what changes, until cancelled."""
        while self._manager.listens:
            self._tell()
            await self._changes.poked()

    def stop(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        if self._manager.listens:
            self._manager.status(line(self._changes.snapshot()))

    def _beat(self) -> None:
        """Called by the poller, between its sockets; the loop's timer asks it to."""
        period = self._manager.watchdog_s
        if period is not None:
            self._manager.alive()
            self._timer = self._poller.later(period / 2, self._ask_poller)

    def _ask_poller(self) -> None:
        self._poller.soon(self._beat)


def line(status: Status) -> str:
    """All in one line: `3 of 4 forwards up, resolver up; server office is down`."""
    if not status.tunnel.on:
        return "the tunnel is switched off"
    states = [forward.state for forward in status.forwards.values()]
    parts = [f"{states.count('listening')} of {len(states)} forwards up"] if states else []
    if status.dns is not None:
        parts.append(f"resolver {'up' if status.dns.state == 'listening' else status.dns.state}")
    ailing = [
        f"server {name} is {server.state}" for name, server in status.servers.items() if server.state != "up"
    ]
    return "; ".join(filter(None, (", ".join(parts) or "nothing to forward", ", ".join(ailing))))
