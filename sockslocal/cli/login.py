"""`login` and `logout`: a password into the keyring and out of it; it is never an argument."""

import sys
from argparse import Namespace
from typing import NamedTuple

from sockslocal import credentials
from sockslocal.cli.context import Context
from sockslocal.cli.outcome import NotInUse, reload, settled, tell
from sockslocal.cli.terminal import say
from sockslocal.config.load import load
from sockslocal.config.model import Config
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, problem
from sockslocal.quoting import listed, quote
from sockslocal.secret import Secret

_ADD_SERVER = "sockslocal server add office ADDRESS --username USER"


class _Account(NamedTuple):
    server: str
    username: str


def login(arguments: Namespace, context: Context) -> int:
    """Asks for the password, or reads it, and stores it."""
    account = _account(load(context.paths.config), arguments.server)
    if arguments.stdin:
        password = credentials.from_stream(sys.stdin.buffer, server=account.server)
    else:
        password = credentials.ask(*account)
    if password == Secret(""):
        say("the password is empty, which some servers refuse", "warn")
    credentials.store(*account, password)
    say(f"the password of {account.username} at {account.server} is in the keyring")
    if not _tell_daemon(account.server, context.paths):
        return ExitCode.DONE
    server = settled(Client(context.paths)).servers[account.server]
    if server.state == "up":
        say(f"{account.server} accepts it")
    elif server.problem is None:
        say(f"whether {account.server} accepts it is not known yet: sockslocal status")
    return tell(server.problem, context.paths.config)


def logout(arguments: Namespace, context: Context) -> int:
    """Removes it again."""
    account = _account(load(context.paths.config), arguments.server)
    credentials.delete(*account)
    say(f"the password of {account.username} at {account.server} is no longer in the keyring")
    _tell_daemon(account.server, context.paths)
    return ExitCode.DONE


def _account(config: Config, name: str | None) -> _Account:
    """Whose password it is; raises ConfigError where there is none to be kept in the keyring."""
    if not config.servers:
        raise _useless(config, "there is no server to log in to", _ADD_SERVER)
    if name is None:
        name = next(iter(config.servers))
    server = config.servers.get(name)
    if server is None:
        known = f"known are {listed(config.servers)}"
        raise ConfigError(problem("unknown-name", kind="server", name=name, known=known), config.path)
    if server.username is None:
        text = f"[server.{name}] has no username, so nobody logs in there"
        raise _useless(config, text, f'add username = "…" to [server.{name}]')
    if server.password_from.kind != "keyring":
        text = (
            f"the password of {quote(name)} is not in the keyring; its place is {server.password_from.place}"
        )
        raise _useless(config, text, f"remove password_from from [server.{name}] to keep it in the keyring")
    return _Account(name, server.username)


def _useless(config: Config, text: str, remedy: str) -> ConfigError:
    return ConfigError(problem("config-invalid", text=text, remedy=remedy), config.path)


def _tell_daemon(server: str, paths: Paths) -> bool:
    """Whether a daemon uses the server; it then logs in anew."""
    if isinstance(reload(paths), NotInUse):  # which may have been about to hear of the server
        return False
    Client(paths).call("credentials.changed", server=server)
    return True
