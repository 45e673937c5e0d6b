"""The background process: composes everything, answers signals, ends in order."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sockslocal import __version__, credentials, log
from sockslocal.config.load import load
from sockslocal.config.model import Config
from sockslocal.control import endpoint
from sockslocal.control.server import ControlServer
from sockslocal.errors import ConfigError
from sockslocal.files import remove_leftovers
from sockslocal.net.engine import Engine
from sockslocal.net.passed import PassedSockets
from sockslocal.net.poller import new_loop
from sockslocal.net.profiles import ProfileStore
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.secret import Secret
from sockslocal.service_manager import Passed, ServiceManager, take_sockets
from sockslocal.supervisor import Supervisor, Switches
from sockslocal.supervisor.interruptions import Interruptions
from sockslocal.supervisor.reporter import Reporter
from sockslocal.supervisor.requests import Requests

COLLECT = (5_000, 20, 100)
"""The collector's thresholds: connections and queries leave no cycles, and a full collection stalls all."""

GRACE_S = 5.0
"""For open connections, when a signal ends the daemon."""

END_S = 10.0
"""What the end may take beside the grace."""

LOOK_S = 0.5
"""How often the configuration file is looked at; a change is applied once two looks in a row agree."""

Signature = tuple[int, ...] | None
"""What of a file changes with its content; None where there is none."""

_log = logging.getLogger(__name__)


def run(paths: Paths, *, log_to_stderr: bool, level: str, secrets: Mapping[str, Secret]) -> ExitCode:
    """Be the daemon until told to stop. `secrets` are the passwords that were asked for, by server.

    Raises SockslocalError for what keeps it from starting.
    """
    credentials.harden()
    manager, sockets = ServiceManager.of_environment(), take_sockets()
    seen = _signature(paths.config)  # before it is read, so that a change from here on is noticed
    config = load(paths.config)
    with endpoint.claim(paths) as claimed:
        log.set_up(None if log_to_stderr else paths.log, level)
        for path in (paths.switches, paths.profiles, paths.answers):
            remove_leftovers(path)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_Daemon(paths, config, claimed, secrets, manager).run(seen, sockets))
    return ExitCode.DONE


class _Daemon:
    """One run, from the first listener to the last."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        claimed: endpoint.Endpoint,
        secrets: Mapping[str, Secret],
        manager: ServiceManager,
    ) -> None:
        self._paths = paths
        self._config = config
        self._claimed = claimed
        self._secrets = secrets
        self._manager = manager
        self._grace = GRACE_S
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self, seen: Signature, sockets: Iterable[Passed] = ()) -> None:
        """Everything; `seen` is the configuration file as it was loaded, `sockets` were handed over."""
        engine = Engine.make(passed=PassedSockets(sockets))
        supervisor = Supervisor(
            engine,
            Switches(self._paths.switches),
            partial(credentials.read, prompted=self._secrets),
            ProfileStore(self._paths.profiles),
            self._paths.answers,
        )
        control = ControlServer(
            self._claimed, Requests(supervisor, self._stop).table(), supervisor.changes.after
        )
        reload = partial(_reload, supervisor, self._manager)
        reporter = Reporter(self._manager, supervisor.changes, engine.poller)
        interruptions = Interruptions(engine.poller, supervisor.recover)
        self._listen_to_signals(reload)
        try:
            engine.passed.keep(self._config)
            supervisor.apply(self._config)
            await control.start()
            gc.freeze()  # what the start made stays: the collector need not look at it again
            gc.set_threshold(*COLLECT)
            _log.info("= sockslocal %s is up", __version__)
            interruptions.start()
            reporter.start()
            await self._work(_watch(reload, self._paths.config, seen), reporter.run())
            self._manager.stopping(self._grace + END_S)
            await self._drain(supervisor)
        finally:
            interruptions.stop()
            reporter.stop()
            await control.close()
            await supervisor.close()
            engine.stop()
            _log.info("= sockslocal is down")

    async def _work(self, *jobs: Coroutine[Any, Any, None]) -> None:
        """Do what has no end, until it is time to stop."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            await self._stopping.wait()
            for task in tasks:
                task.cancel()

    async def _drain(self, supervisor: Supervisor) -> None:
        """Let what is open come to its end, until the grace is over or a second signal comes."""
        draining = asyncio.create_task(supervisor.drain(self._grace), name="drain")
        at_once = asyncio.create_task(self._at_once.wait(), name="second signal")
        await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, at_once):
            task.cancel()
        await asyncio.gather(draining, at_once, return_exceptions=True)

    def _stop(self, grace: float) -> None:
        """End in order, with `grace` seconds for what is open; asked for twice, end at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._grace = grace
        self._stopping.set()

    def _listen_to_signals(self, reload: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self._stop, GRACE_S))
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, GRACE_S)
        loop.add_signal_handler(signal.SIGHUP, reload)


async def _watch(reload: Callable[[], None], path: Path, applied: Signature) -> None:
    """Have the file applied whenever it differs from what was `applied`.

    Not while it is changing: an editor that empties a file before it writes must not cost a connection.
    """
    before = applied
    while True:
        await asyncio.sleep(LOOK_S)
        now = _signature(path)
        if now == before != applied:
            applied = now
            reload()
        before = now


def _signature(path: Path) -> Signature:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino


def _reload(supervisor: Supervisor, manager: ServiceManager) -> None:
    """Apply the file, if it can be; whatever hinders that costs no connection."""
    manager.reloading()
    try:
        supervisor.reload()
    except ConfigError as error:
        _log.error("! the configuration stays as it was: %s", error)
    except Exception:  # noqa: BLE001  a bug there would end the daemon, and with it what works
        _log.exception("! the configuration cannot be applied")
    finally:
        manager.ready()
