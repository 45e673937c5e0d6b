"""What became of a change: told to the person, and in the exit code."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sockslocal.cli.propose import config_of, same, spelled
from sockslocal.cli.render import print_error, short_path
from sockslocal.cli.terminal import say
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError, ControlError, SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, Problem
from sockslocal.status import Status

_RESOLVER = "dns"
_POLL = 0.05
_SHOWN_FAULTS = 3


def still_wrong(faults: Sequence[ConfigError], config: Path) -> ExitCode:
    """Tells what was wrong with the configuration before it was edited, and is still."""
    say("it does not take effect until this is mended too:", "warn")
    for fault in faults[:_SHOWN_FAULTS]:
        print_error(fault, config)
    if len(faults) > _SHOWN_FAULTS:
        say(spelled(f"and {len(faults) - _SHOWN_FAULTS} more: sockslocal config check", config))
    return ExitCode.CONFIG


class NotInUse(NamedTuple):
    """No daemon uses the configuration; `command` would change that."""

    command: str


def reload(paths: Paths) -> Status | NotInUse:
    """Has the daemon that uses the configuration read it now; its status after that.

    One that uses another file is told of.
    """
    client = Client(paths)
    try:
        status = client.status()
        if not same(config_of(status, paths.config), paths.config):
            warn_of_other(status)
            return NotInUse("sockslocal restart")
        if status.daemon.state == "stopping":
            return NotInUse("sockslocal start")
        client.call("reload")
        return client.status()
    except ControlError as error:
        if error.problem.code != "not-running":
            raise
        return NotInUse("sockslocal start")


def warn_of_other(status: Status) -> None:
    """Tells that the daemon uses another file than the one spoken of."""
    other = short_path(Path(status.daemon.config))
    say(f"process {status.daemon.pid} uses another configuration: {other}", "warn")


def states_of(paths: Paths) -> Status | None:
    """The status of the daemon that uses the configuration; None where none can be asked."""
    try:
        status = Client(paths).status()
    except ControlError:
        return None
    return status if same(config_of(status, paths.config), paths.config) else None


def settled(client: Client, seconds: float = 3.0) -> Status:
    """The status once no server is being connected to any more, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        status = client.status()
        unsettled = [
            server for server in status.servers.values() if server.state in ("connecting", "unknown")
        ]
        if not unsettled or not status.tunnel.on or time.monotonic() > deadline:
            return status
        time.sleep(_POLL)


def report(name: str, status: Status, config: Path) -> ExitCode:
    """How the forward `name`, or the resolver, is doing now, which the file `config` describes.

    Only what keeps it from listening is an error of the change; what went wrong with earlier connections is
    for `status`.
    """
    if name == _RESOLVER and status.dns is not None:
        where, state, problem = status.dns.listen, status.dns.state, status.dns.problem
    elif name in status.forwards:
        forward = status.forwards[name]
        where, state, problem = f"{forward.listen} → {forward.to}", forward.state, forward.problem
    else:
        return ExitCode.DONE  # a newer file than the one asked about: nothing to tell
    say(f"{name}: {where}, {state}")
    return tell(problem, config) if state == "error" else ExitCode.DONE


def tell(problem: Problem | None, config: Path) -> ExitCode:
    """What is wrong, if anything, as the command's own error."""
    if problem is None:
        return ExitCode.DONE
    error = SockslocalError(problem)
    print_error(error, config)
    return error.exit_code
