"""`run`, `start`, `stop`, `restart`, `demo`."""

import math
import sys
from argparse import Namespace

from sockslocal.cli import background, leash, prompts
from sockslocal.cli.context import Context
from sockslocal.cli.outcome import settled, warn_of_other
from sockslocal.cli.propose import config_of, same, spelled
from sockslocal.cli.render import print_warning
from sockslocal.cli.terminal import say
from sockslocal.config.load import load
from sockslocal.control.client import Client
from sockslocal.errors import ControlError
from sockslocal.health import troubles
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.secret import Secret
from sockslocal.status import Status


def demo(arguments: Namespace, context: Context) -> int:
    """Everything at once, on loopback."""
    return context.demo(once=arguments.once)


def run(arguments: Namespace, context: Context) -> int:
    """The daemon, in this process."""
    secrets = (
        prompts.load_stdin() if arguments.secrets_from_stdin else prompts.ask_all(load(context.paths.config))
    )
    if arguments.until_stdin_ends:
        leash.hold(sys.stdin.fileno())
    return context.run(
        context.paths,
        log_to_stderr=not arguments.log_to_file,
        level=arguments.level.upper(),
        secrets=secrets,
    )


def start(arguments: Namespace, context: Context) -> int:
    """The daemon, in a process of its own."""
    old = _running(context.paths)
    if old is not None and old.daemon.state == "running":
        say(f"sockslocal runs already as process {old.daemon.pid}")
        if not same(config_of(old, context.paths.config), context.paths.config):
            warn_of_other(old)
            say(spelled("to use this one: sockslocal restart", context.paths.config))
        return ExitCode.DONE
    secrets = prompts.ask_all(load(context.paths.config))
    if old is not None:
        seconds = math.ceil(old.daemon.stops_within_s or 0.0)
        say(f"process {old.daemon.pid} is stopping: waiting until its connections end, {seconds} s at most")
        background.wait_until_gone(context.paths, old.daemon.pid, seconds)
    return _launch(context, arguments.level, secrets)


def _running(paths: Paths) -> Status | None:
    """What the daemon says, None where there is none; raises ControlError where it says nothing."""
    try:
        return Client(paths).status()
    except ControlError as error:
        if error.problem.code != "not-running":
            raise
        return None


def stop(arguments: Namespace, context: Context) -> int:
    """The end of the daemon."""
    pid = background.stop(context.paths, arguments.grace)
    if pid is None:
        raise ControlError.of("not-running")
    _say_stopped(pid)
    return ExitCode.DONE


def restart(arguments: Namespace, context: Context) -> int:
    """A new daemon in place of the old one, which stays where the configuration is no good."""
    secrets = prompts.ask_all(load(context.paths.config))
    pid = background.stop(context.paths, arguments.grace)
    if pid is not None:
        _say_stopped(pid)
    return _launch(context, arguments.level, secrets)


def _launch(context: Context, level: str, secrets: dict[str, Secret]) -> int:
    try:
        status = background.launch(context.paths, level, secrets)
    except background.StartFailedError as error:
        if not error.words or not error.words[0].startswith("error: "):
            raise
        for line in error.words:  # it is told as every command tells it
            say(line)
        return error.exit_code
    say(f"sockslocal runs as process {status.daemon.pid}")
    for trouble in troubles(settled(Client(context.paths))):
        print_warning(trouble.problem, context.paths.config)
    return ExitCode.DONE


def _say_stopped(pid: int) -> None:
    say(f"sockslocal has stopped (process {pid or 'unknown'})")
