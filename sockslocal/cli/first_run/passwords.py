"""Where the password is to be: the keyring, or what the person prefers where there is none."""

import asyncio
from pathlib import Path

from sockslocal import credentials
from sockslocal.cli.first_run.plan import KEYRING, ServerAnswer
from sockslocal.cli.first_run.questions import bad, choose, tell
from sockslocal.cli.render import short_path
from sockslocal.config.model import ServerConfig
from sockslocal.errors import CredentialsError

_LOOK_S = 30.0


def place(answer: ServerAnswer, config: Path) -> str | None:
    """What `password_from` is to be; nothing is written yet."""
    if answer.username is None or answer.password is None:
        return answer.kept_in if answer.username else None
    if answer.kept_in == "prompt" or file_of(answer.kept_in):
        return answer.kept_in
    if answer.kept_in != KEYRING:
        kind = (answer.kept_in or "").partition(":")[0]
        tell(f"until now it was given by a {kind}, which no password can be put into", "warn")
    problem = _wrong_with_keyring(answer)
    if problem is None:
        return KEYRING
    if problem.problem.code == "needs-unlock":
        tell("the keyring is locked; at the end it will ask you to unlock it")
        return KEYRING
    bad("there is no keyring here that the password could be in")
    return elsewhere(answer, config)


def _wrong_with_keyring(answer: ServerAnswer) -> CredentialsError | None:
    """Why it will not do, as far as that is known without its asking the person for anything."""
    server = ServerConfig(name=answer.name, address=answer.address, username=answer.username)
    try:
        asyncio.run(credentials.read(server, deadline=_LOOK_S))
    except CredentialsError as error:
        return None if error.problem.code == "password-missing" else error
    return None


def elsewhere(answer: ServerAnswer, config: Path, *choices: str) -> str | None:
    """What the person prefers, which may be one more of the `choices`."""
    path = file_for(answer.name, config)
    tell(f"file: {short_path(path)}, which only you can read")
    tell("ask: you are asked whenever sockslocal starts, so it cannot start at login by itself")
    chosen = choose("Where to keep the password", ("file", "ask", *choices), "file")
    known = {"file": f"file:{path}", "ask": "prompt"}
    return known.get(chosen, KEYRING)


def file_of(password_from: str | None) -> Path | None:
    """The file that it names, if it does."""
    kind, _, path = (password_from or "").partition(":")
    return Path(path) if kind == "file" else None


def file_for(server: str, config: Path) -> Path:
    """Beside the configuration."""
    return config.absolute().parent / f"{server}.password"
