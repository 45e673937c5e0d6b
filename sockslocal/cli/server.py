"""`server add`, `use`, `remove`, `list`."""

import sys
from argparse import Namespace

from sockslocal.cli.context import Context
from sockslocal.cli.outcome import reload, states_of, still_wrong
from sockslocal.cli.propose import spelled
from sockslocal.cli.render import short_path, table
from sockslocal.cli.screen import NO_FORWARD, NO_SERVER
from sockslocal.cli.terminal import print_json, say, write
from sockslocal.config import edit
from sockslocal.config.edit import Edited
from sockslocal.config.load import load
from sockslocal.config.model import ServerConfig
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.quoting import listed
from sockslocal.status import Server

_KEYS = (
    "address",
    "username",
    "password_from",
    "tls",
    "tls_name",
    "tls_ca",
    "udp",
    "udp_address",
    "udp_probe",
    "connect_timeout",
)


def add(arguments: Namespace, context: Context) -> int:
    """A new server, and what is to be done next."""
    settings = {key: getattr(arguments, key) for key in _KEYS if getattr(arguments, key) is not None}
    edited = edit.add_server(context.paths.config, arguments.name, settings)
    say(f"server {arguments.name} added to {short_path(context.paths.config)}")
    code = _apply(edited, context.paths)
    config = edited.config
    added = config.servers[arguments.name]
    if added.username is not None and added.password_from.kind == "keyring":
        say(spelled(f"next: sockslocal login {arguments.name}", config.path))
    elif not config.tcp and not config.udp and config.dns is None:
        say(spelled(f"next: {NO_FORWARD}", config.path))
    return code


def use(arguments: Namespace, context: Context) -> int:
    """Another default server."""
    edited = edit.use_server(context.paths.config, arguments.name)
    say(f"server {arguments.name} is the default in {short_path(context.paths.config)}")
    _say_rerouted(edited)
    return _apply(edited, context.paths)


def remove(arguments: Namespace, context: Context) -> int:
    """A server less; its password stays in the keyring until `logout`."""
    edited = edit.remove_server(context.paths.config, arguments.name)
    say(f"server {arguments.name} removed from {short_path(context.paths.config)}")
    _say_rerouted(edited)
    return _apply(edited, context.paths)


def _say_rerouted(edited: Edited) -> None:
    """What goes through another server now, as it names none and the default one has changed."""
    if edited.rerouted:
        say(f"through server {edited.default} now: {listed(edited.rerouted)}")


def _apply(edited: Edited, paths: Paths) -> int:
    if edited.faults:
        return still_wrong(edited.faults, paths.config)
    reload(paths)
    return ExitCode.DONE


def show(arguments: Namespace, context: Context) -> int:
    """What is configured, and how it is doing where the daemon runs."""
    servers = load(context.paths.config).servers.values()
    status = states_of(context.paths)
    states = status.servers if status else {}
    if arguments.json:
        listed = [_described(server, states.get(server.name)) for server in servers]
        print_json(listed)
    elif servers:
        rows = [_row(server, states.get(server.name)) for server in servers]
        write(sys.stdout, table(("NAME", "ADDRESS", "USER", "PASSWORD", "STATE"), rows))
    else:
        say(spelled(f"there is no server yet: {NO_SERVER}", context.paths.config))
    return ExitCode.DONE


def _described(server: ServerConfig, now: Server | None) -> dict[str, object]:
    return {
        "name": server.name,
        "address": str(server.address),
        "tls": server.tls is not None,
        "username": server.username,
        "password_from": server.password_from.kind if server.username else None,
        "state": now and now.state,
    }


def _row(server: ServerConfig, now: Server | None) -> tuple[str, ...]:
    source = server.password_from.kind if server.username else "-"
    return server.name, str(server.address), server.username or "-", source, now.state if now else "-"
