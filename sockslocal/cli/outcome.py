"""What became of a change: told to the person, and in the exit code."""

import time
from collections.abc import Sequence

from sockslocal.cli.render import print_error
from sockslocal.cli.terminal import say
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError, ControlError, SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, Problem
from sockslocal.status import Status

_RESOLVER = "dns"
_POLL = 0.05
_SHOWN_FAULTS = 3


def still_wrong(faults: Sequence[ConfigError]) -> ExitCode:
    """Tells what was wrong with the configuration before it was edited, and is still."""
    say("nothing of it takes effect before this is mended too:", "warn")
    for fault in faults[:_SHOWN_FAULTS]:
        print_error(fault)
    if len(faults) > _SHOWN_FAULTS:
        say(f"and {len(faults) - _SHOWN_FAULTS} more: sockslocal config check")
    return ExitCode.CONFIG


def reload(paths: Paths) -> Status | None:
    """Has a running daemon read the configuration now; its status, None where none runs."""
    client = Client(paths)
    try:
        client.call("reload")
        return client.status()
    except ControlError as error:
        if error.problem.code != "not-running":
            raise
        return None


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


def report(name: str, status: Status) -> ExitCode:
    """How the forward `name`, or the resolver, is doing now.

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
    return tell(problem) if state == "error" else ExitCode.DONE


def tell(problem: Problem | None) -> ExitCode:
    """What is wrong, if anything, as the command's own error."""
    if problem is None:
        return ExitCode.DONE
    error = SockslocalError(problem)
    print_error(error)
    return error.exit_code
