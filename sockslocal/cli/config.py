"""`config path` and `config check`."""

from argparse import Namespace

from sockslocal.cli.context import Context
from sockslocal.cli.render import print_error, short_path
from sockslocal.cli.screen import count
from sockslocal.cli.terminal import say
from sockslocal.config import load
from sockslocal.problems import ExitCode


def path(_arguments: Namespace, context: Context) -> int:
    """Where it is, or would be."""
    print(context.paths.config.absolute())
    return ExitCode.DONE


def check(_arguments: Namespace, context: Context) -> int:
    """Whether a daemon would take it, or else all that is wrong with it."""
    config, faults = load.check(context.paths.config)
    for fault in faults:
        print_error(fault, config.path)
    if faults:
        return ExitCode.CONFIG
    servers = count(len(config.servers), "server", "servers")
    forwards = count(len(config.tcp) + len(config.udp), "forward", "forwards")
    resolver = ", the resolver" if config.dns else ""
    say(f"{short_path(config.path)} is valid: {servers}, {forwards}{resolver}")
    return ExitCode.DONE
