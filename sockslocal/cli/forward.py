"""`forward add`, `set`, `remove`, `list`."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping

from sockslocal.address import spell
from sockslocal.cli.context import Context
from sockslocal.cli.outcome import NotInUse, reload, report, states_of, still_wrong
from sockslocal.cli.propose import spelled
from sockslocal.cli.render import short_path, table
from sockslocal.cli.screen import NO_FORWARD
from sockslocal.cli.terminal import print_json, say, write
from sockslocal.config import edit
from sockslocal.config.edit import Edited
from sockslocal.config.load import load
from sockslocal.config.model import TcpForwardConfig, UdpForwardConfig
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode

_KEYS = ("listen", "to", "server", "idle", "share", "only_me", "allow_lan")


def add(arguments: Namespace, context: Context) -> int:
    """A new forward."""
    settings = {key: value for key, value in _settings(arguments).items() if value is not None}
    edited = edit.add_forward(context.paths.config, arguments.kind, arguments.name, settings)
    return _apply(arguments.name, "added to", edited, context.paths)


def change(arguments: Namespace, context: Context) -> int:
    """Other keys for a forward."""
    changes = _settings(arguments)
    if not changes:
        reason = "nothing to change was said"
        raise SockslocalError.of("usage", reason=reason, remedy="sockslocal forward set --help")
    edited = edit.set_forward(context.paths.config, arguments.name, changes)
    return _apply(arguments.name, "changed in", edited, context.paths)


def remove(arguments: Namespace, context: Context) -> int:
    """A forward less."""
    edited = edit.remove_forward(context.paths.config, arguments.name)
    return _apply(arguments.name, "removed from", edited, context.paths)


def _settings(arguments: Namespace) -> dict[str, str | bool | list[str] | None]:
    """The keys that were given; False becomes None, for that is what they are without being written."""
    given = {key: getattr(arguments, key) for key in _KEYS if getattr(arguments, key) is not None}
    if len(given.get("server", ())) == 1:
        given["server"] = given["server"][0]
    return {key: None if value is False else value for key, value in given.items()}


def _apply(name: str, done: str, edited: Edited, paths: Paths) -> int:
    say(f"forward {name} {done} {short_path(paths.config)}")
    if edited.faults:
        return still_wrong(edited.faults, paths.config)
    status = reload(paths)
    if isinstance(status, NotInUse):
        say(spelled(f"it takes effect with: {status.command}", paths.config))
        return ExitCode.DONE
    return report(name, status, paths.config)


def show(arguments: Namespace, context: Context) -> int:
    """What is configured, and how it is doing where the daemon runs."""
    config = load(context.paths.config)
    forwards: list[TcpForwardConfig | UdpForwardConfig] = [*config.tcp.values(), *config.udp.values()]
    status = states_of(context.paths)
    states = {name: forward.state for name, forward in status.forwards.items()} if status else {}
    if arguments.json:
        listed = [_described(forward, states.get(forward.name)) for forward in forwards]
        print_json(listed)
    elif forwards:
        write(sys.stdout, table(("NAME", "KIND", "LISTEN", "TO", "SERVER", "STATE"), _rows(forwards, states)))
    else:
        say(spelled(f"there is no forward yet: {NO_FORWARD}", context.paths.config))
    return ExitCode.DONE


def _described(forward: TcpForwardConfig | UdpForwardConfig, state: str | None) -> dict[str, object]:
    return {
        "name": forward.name,
        "kind": _kind(forward),
        "listen": [str(address) for address in forward.listen],
        "to": [str(target) for target in forward.to],
        "servers": forward.servers,
        "enabled": forward.enabled,
        "state": state,
    }


def _rows(
    forwards: Iterable[TcpForwardConfig | UdpForwardConfig], states: Mapping[str, str]
) -> list[tuple[str, ...]]:
    return [
        (
            forward.name,
            _kind(forward),
            spell(forward.listen),
            spell(forward.to),
            ", ".join(forward.servers),
            states.get(forward.name, "-"),
        )
        for forward in forwards
    ]


def _kind(forward: TcpForwardConfig | UdpForwardConfig) -> str:
    return "tcp" if isinstance(forward, TcpForwardConfig) else "udp"
