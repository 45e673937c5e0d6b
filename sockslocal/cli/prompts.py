"""Passwords of servers with `password_from = "prompt"`: asked before the daemon is there to be asked.

`start` asks, and hands them to the process it starts over a pipe: never by arguments, environment or a file.
"""

import sys

import msgspec

from sockslocal import credentials
from sockslocal.config.model import Config, ServerConfig
from sockslocal.errors import SockslocalError
from sockslocal.secret import Secret

_MAX_OCTETS = 1 << 20


def ask_all(config: Config) -> dict[str, Secret]:
    """A password for each such server, where a person is there to be asked."""
    servers = [server for server in config.servers.values() if _is_asked_for(server)]
    if not servers or not sys.stdin.isatty():
        return {}
    return {server.name: credentials.ask(server.name, server.username or "") for server in servers}


def _is_asked_for(server: ServerConfig) -> bool:
    return server.password_from.kind == "prompt" and server.username is not None


def dump(secrets: dict[str, Secret]) -> bytes:
    """What `load` reads on the other side of the pipe: one line."""
    return msgspec.json.encode({name: secret.reveal() for name, secret in secrets.items()}) + b"\n"


def load(content: bytes) -> dict[str, Secret]:
    """The passwords by server; raises SockslocalError `usage` without showing what came."""
    try:
        passwords = msgspec.json.decode(content, type=dict[str, str])
    except msgspec.DecodeError:
        passwords = None
    if passwords is None:  # raised out here: an exception being handled would go along, with the text in it
        reason = "what stdin gives is no JSON object of server names and passwords"
        raise SockslocalError.of("usage", reason=reason, remedy="sockslocal run")
    return {name: Secret(password) for name, password in passwords.items()}


def load_stdin() -> dict[str, Secret]:
    """As `load`, of the first line that stdin gives; the pipe may stay open."""
    return load(sys.stdin.buffer.readline(_MAX_OCTETS))
