"""`run`, `start`, `stop`, `restart`, `demo`."""

from argparse import Namespace

from sockslocal.cli import background, prompts
from sockslocal.cli.context import Context
from sockslocal.cli.outcome import settled
from sockslocal.cli.render import print_warning
from sockslocal.cli.screen import problems
from sockslocal.cli.terminal import say
from sockslocal.config.load import load
from sockslocal.control.client import Client
from sockslocal.errors import ControlError
from sockslocal.problems import ExitCode
from sockslocal.secret import Secret


def demo(arguments: Namespace, context: Context) -> int:
    """Everything at once, on loopback."""
    return context.demo(once=arguments.once)


def run(arguments: Namespace, context: Context) -> int:
    """The daemon, in this process."""
    secrets = (
        prompts.load_stdin() if arguments.secrets_from_stdin else prompts.ask_all(load(context.paths.config))
    )
    return context.run(
        context.paths,
        log_to_stderr=not arguments.log_to_file,
        level=arguments.level.upper(),
        secrets=secrets,
    )


def start(arguments: Namespace, context: Context) -> int:
    """The daemon, in a process of its own."""
    pid = Client(context.paths).pid()
    if pid is not None:
        say(f"sockslocal runs already as process {pid or 'unknown'}")
        return ExitCode.DONE
    return _launch(context, arguments.level, prompts.ask_all(load(context.paths.config)))


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
    for problem in problems(settled(Client(context.paths))):
        print_warning(problem)
    return ExitCode.DONE


def _say_stopped(pid: int) -> None:
    say(f"sockslocal has stopped (process {pid or 'unknown'})")
