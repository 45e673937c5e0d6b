"""`on` and `off`: the whole tunnel or single forwards, by the daemon, which keeps them across restarts."""

from argparse import Namespace

from sockslocal.cli.context import Context
from sockslocal.cli.outcome import report
from sockslocal.cli.propose import config_of
from sockslocal.cli.terminal import say
from sockslocal.control.client import Client
from sockslocal.control.messages import as_status
from sockslocal.problems import ExitCode


def on(arguments: Namespace, context: Context) -> int:
    """What listens again."""
    return _switch("on", arguments.names, context)


def off(arguments: Namespace, context: Context) -> int:
    """What listens no more."""
    return _switch("off", arguments.names, context)


def _switch(switch: str, names: list[str], context: Context) -> int:
    status = as_status(Client(context.paths).call(switch, names=names))
    if not names:
        say(f"the tunnel is {switch}")
        return ExitCode.DONE
    config = config_of(status, context.paths.config)
    codes = [report(name, status, config) for name in names]
    if switch == "on" and not status.tunnel.on:
        say("the tunnel is off as a whole: sockslocal on", "warn")
    return max(codes)
