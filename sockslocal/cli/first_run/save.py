"""Makes a plan so: the password, the file, the daemon, and what starts at login, in this order."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from sockslocal import credentials
from sockslocal.cli import background, prompts
from sockslocal.cli.autostart import parts_for
from sockslocal.cli.first_run import passwords
from sockslocal.cli.first_run.plan import KEYRING, Plan, ServerAnswer
from sockslocal.cli.first_run.questions import bad, good
from sockslocal.cli.outcome import NotInUse, reload, settled
from sockslocal.cli.render import print_error, short_path
from sockslocal.config import edit
from sockslocal.config.load import load
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError, CredentialsError, SockslocalError
from sockslocal.files import unwritable_remedy, write_atomically
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.secret import Secret
from sockslocal.status import Status

SETTLE_S = 15.0
"""For the daemon to log in with what was just saved, from a keyring that may be slow."""

_POLL = 0.1


def save(plan: Plan, config: Path) -> None:
    """The password and the file, or neither."""
    with ExitStack() as undoing:
        forget = _keep_password(plan, config)
        if forget is not None:
            undoing.callback(forget)
        edit.put(config, plan.wishes)
        undoing.pop_all()
    good(f"saved in {short_path(config)}")


def _keep_password(plan: Plan, config: Path) -> Callable[[], None] | None:
    """Put it where it is to be, by the person's choice somewhere else; what undoes that."""
    answer = plan.server
    if answer.username is None or answer.password is None:
        return None
    while plan.password_from == KEYRING:
        try:
            credentials.store(answer.name, answer.username, answer.password)
        except CredentialsError as error:
            bad(error.problem.text)
            plan.password_from = passwords.elsewhere(answer, config, "keyring")
        else:
            good("the password is in the keyring")
            return partial(_forget, answer)
    path = passwords.file_of(plan.password_from)
    return None if path is None else _write(path, answer.password)


def _forget(answer: ServerAnswer) -> None:
    """Unless it has replaced another one, which nobody can bring back."""
    if answer.table.get("username") == answer.username and answer.kept_in == KEYRING:
        return
    with suppress(SockslocalError):
        credentials.delete(answer.name, answer.username or "")


def _write(path: Path, password: Secret) -> Callable[[], None] | None:
    is_new = not path.exists()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, f"{password.reveal()}\n".encode())
    except OSError as error:
        remedy = unwritable_remedy(error, path)
        found = problem("config-unwritable", path=path, reason=error.strerror, remedy=remedy)
        raise ConfigError(found, path) from None
    good(f"the password is in {short_path(path)}")
    return partial(path.unlink, missing_ok=True) if is_new else None


def start(plan: Plan, paths: Paths) -> Status | None:
    """Have the daemon use it all; how it is then, None where a daemon stays with another file."""
    used = reload(paths)
    client = Client(paths)
    if not isinstance(used, NotInUse):
        if plan.server.password is not None:
            client.call("credentials.changed", server=plan.server.name)
        return _known(client)
    if client.pid() is not None:
        return None
    secrets = _prompted(plan, paths)
    good(f"sockslocal runs as process {background.launch(paths, 'info', secrets).daemon.pid}")
    return _known(client)


def _known(client: Client) -> Status:
    """The status once the servers are up or not; a password that is still awaited is neither."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        status = settled(client, SETTLE_S)
        problems = [server.problem for server in status.servers.values() if server.problem]
        awaited = any(problem.code == "password-awaited" for problem in problems)
        if not awaited or time.monotonic() > deadline:
            return status
        time.sleep(_POLL)


def _prompted(plan: Plan, paths: Paths) -> dict[str, Secret]:
    """What was typed already is not asked for again."""
    config = load(paths.config)
    server = plan.server
    if server.password is None or plan.password_from != "prompt":  # noqa: S105  a place
        return prompts.ask_all(config)
    others = {name: other for name, other in config.servers.items() if name != server.name}
    asked = prompts.ask_all(type(config)(config.path, others))
    return {**asked, server.name: server.password}


def start_at_login(config: Path) -> None:
    """Both parts; what hinders that costs nothing else."""
    try:
        for part in parts_for(config).values():
            part.enable()
    except SockslocalError as error:
        print_error(error, config)
    else:
        good("sockslocal and its tray start at login")
