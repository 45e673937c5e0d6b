"""`on` and `off`: the whole tunnel or single forwards, by the daemon, which keeps them across restarts."""

from argparse import Namespace
from pathlib import Path

from sockslocal.cli.context import Context
from sockslocal.cli.outcome import report, tell
from sockslocal.cli.propose import config_of
from sockslocal.cli.terminal import say
from sockslocal.control.client import Client
from sockslocal.control.messages import as_status
from sockslocal.problems import ExitCode, Problem, problem
from sockslocal.status import Status


def on(arguments: Namespace, context: Context) -> int:
    """What listens again."""
    return _switch("on", arguments.names, context)


def off(arguments: Namespace, context: Context) -> int:
    """What listens no more."""
    return _switch("off", arguments.names, context)


def _switch(switch: str, names: list[str], context: Context) -> int:
    status = as_status(Client(context.paths).call(switch, names=names))
    config = config_of(status, context.paths.config)
    codes = [tell(found, config) for found in status.problems if found.code == "switches-unkept"]
    if not names:
        say(f"the tunnel is {switch}")
    codes += [report(name, status, config) for name in names]
    if switch == "on" and not status.tunnel.on:
        say("the tunnel is off as a whole: sockslocal on", "warn")
    elif switch == "on":
        codes += [tell(_disabled(name, status, config), config) for name in names]
    return max(codes, default=ExitCode.DONE)


def _disabled(name: str, status: Status, config: Path) -> Problem | None:
    """What keeps `name` off though it is switched on."""
    if name in status.forwards:
        state, table = status.forwards[name].state, f"{status.forwards[name].kind}.{name}"
    else:
        state, table = status.dns.state if status.dns else "error", name
    if state != "off" or status.daemon.state != "running":
        return None
    return problem("not-enabled", name=name, path=config, table=table)
