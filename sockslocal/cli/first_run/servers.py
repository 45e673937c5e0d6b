"""The server: asked for and tried, until it works or is wanted all the same."""

import sys
from collections.abc import Mapping
from typing import Any

from sockslocal import credentials
from sockslocal.address import AddressError, Endpoint, ip_of, is_loopback, parse_endpoint
from sockslocal.cli.first_run.plan import ServerAnswer
from sockslocal.cli.first_run.questions import WrongAnswer, ask, bad, choose, heading, marks, tell
from sockslocal.cli.first_run.trial import Trial
from sockslocal.cli.render import width_of_terminal
from sockslocal.cli.server_test import lines_of
from sockslocal.cli.terminal import say, write
from sockslocal.config.model import Config
from sockslocal.config.rewrite import Setting
from sockslocal.config.table import is_name
from sockslocal.config.values import MAX_USERNAME_OCTETS
from sockslocal.errors import CredentialsError, SockslocalError
from sockslocal.problems import ExitCode
from sockslocal.quoting import quote
from sockslocal.secret import Secret

SOCKS_PORT = 1080
"""IANA's for SOCKS."""

_USUAL_NAME = "office"

Tables = Mapping[str, Mapping[str, Setting]]
"""What the file has of each server."""


def server(config: Config, tables: Tables, trial: Trial) -> tuple[ServerAnswer, dict[str, Any] | None]:
    """The server, and what was found out about it; None where it does not work and is wanted all the same."""
    heading("The SOCKS5 server")
    answer = _ask(tables, next(iter(config.servers), ""))
    while True:
        tell(f"trying {answer.address}, for some seconds", "dim")
        try:
            report = trial.server(_tried(answer), answer.password)
        except SockslocalError as error:
            bad(error.problem.text)
            after = choose("What now: change something, keep it all the same, or quit", _AFTER, "change")
            if after == "quit":
                raise KeyboardInterrupt from None
            if after == "keep":
                return answer, None
            answer = _again(answer, error)
        else:
            say("")
            write(sys.stderr, lines_of(report, width_of_terminal(), marks()))
            _warn_of_clear_text(answer)
            return answer, report


_AFTER = ("change", "keep", "quit")


def _tried(answer: ServerAnswer) -> Any:
    return answer.wish("prompt" if answer.password else answer.kept_in)


def _ask(tables: Tables, first: str) -> ServerAnswer:
    if not tables:
        address = _address("")
        name = ask("A name for it, to use in commands", _new_name, _name_for(address))
        return _login(ServerAnswer(name=name, address=address))
    tell(f"known already: {', '.join(tables)}; another name adds a server")
    name = ask("Which one", _new_name, first)
    table = tables.get(name, {})
    address = _address(str(table.get("address", "")))
    return _login(ServerAnswer(name=name, address=address, username=_known_user(table), table=table))


def _known_user(table: Mapping[str, Setting]) -> str | None:
    user = table.get("username")
    return user if isinstance(user, str) else None


def _again(answer: ServerAnswer, error: SockslocalError) -> ServerAnswer:
    """The answers that may be wrong, asked for once more."""
    address = answer.address
    if error.exit_code != ExitCode.CREDENTIALS:
        address = _address(str(address))
    changed = ServerAnswer(name=answer.name, address=address, username=answer.username, table=answer.table)
    return _login(changed, answer.password, rejected=error.problem.code == "auth-failed")


def _address(proposal: str) -> Endpoint:
    return ask("Address, host:port", _endpoint, proposal)


def _endpoint(text: str) -> Endpoint:
    if not text:
        raise WrongAnswer("an address is needed, like proxy.example.net:1080")
    try:
        return parse_endpoint(text, default_port=SOCKS_PORT, like="proxy.example.net:1080")
    except AddressError as error:
        raise WrongAnswer(str(error)) from None


def _name_for(address: Endpoint) -> str:
    """The beginning of the host's name, where it has one."""
    label = address.host.partition(".")[0]
    return label if ip_of(address.host) is None and is_name(label) else _USUAL_NAME


def _new_name(text: str) -> str:
    if not is_name(text):
        raise WrongAnswer(f"{quote(text)} is no name: letters, digits, - and _ make one")
    return text


def _login(answer: ServerAnswer, password: Secret | None = None, *, rejected: bool = False) -> ServerAnswer:
    """With user and password; Enter keeps the `password` that was typed before, or is kept."""
    old = answer.username
    hint = "- for none" if old else "Enter if it wants none"
    user = ask(f"User name, {hint}", _username, old or "")
    if not user:
        return _with_login(answer, None, None)
    kept = user == old and not rejected and (password or _is_kept(answer))
    if kept:
        tell("Enter keeps the password that " + ("you typed" if password else "is there already"))
    typed = _password(answer.name, user, needed=not kept)
    return _with_login(answer, user, typed or password)


def _with_login(answer: ServerAnswer, user: str | None, password: Secret | None) -> ServerAnswer:
    return ServerAnswer(
        name=answer.name, address=answer.address, username=user, password=password, table=answer.table
    )


def _is_kept(answer: ServerAnswer) -> bool:
    """Whether the file says where there is a password for this user."""
    return answer.username == answer.table.get("username") and answer.kept_in != "prompt"


def _username(text: str) -> str:
    if text == "-":
        return ""
    if len(text.encode(errors="surrogateescape")) > MAX_USERNAME_OCTETS:
        raise WrongAnswer(f"SOCKS5 carries at most {MAX_USERNAME_OCTETS} octets of a user name")
    return text


def _password(server: str, user: str, *, needed: bool) -> Secret | None:
    while True:
        try:
            password = credentials.ask(server, user, margin="  ")
        except CredentialsError as error:
            if error.problem.code == "password-source-failed":
                raise KeyboardInterrupt from None  # the end of the input
            bad(error.problem.text)
            continue
        if password != Secret(""):
            return password
        if not needed:
            return None
        bad("a password is needed; it is not shown while you type it")


def _warn_of_clear_text(answer: ServerAnswer) -> None:
    if answer.username and not is_loopback(answer.address.host) and not answer.table.get("tls"):
        tell("SOCKS5 sends user and password in clear: keep to networks that you trust, or to TLS", "warn")
