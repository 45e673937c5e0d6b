"""`setup`: a few questions, each answer tried, and then all of it saved at once, or nothing."""

import sys
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

from sockslocal.cli.autostart import parts_for
from sockslocal.cli.context import Context
from sockslocal.cli.first_run import forwards, names, passwords, save, servers, try_it
from sockslocal.cli.first_run.plan import Plan
from sockslocal.cli.first_run.questions import confirm, good, heading, tell, use_line_editing
from sockslocal.cli.first_run.trial import Trial
from sockslocal.cli.propose import spelled
from sockslocal.cli.render import print_error, print_warning, short_path
from sockslocal.cli.screen import NO_FORWARD, NO_SERVER
from sockslocal.cli.terminal import say
from sockslocal.config.load import load, read_text
from sockslocal.config.model import Config
from sockslocal.desktop.autostart import Autostart
from sockslocal.errors import ConfigError, SockslocalError
from sockslocal.health import troubles
from sockslocal.interrupts import INTERRUPTED
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.status import Status

_INSTEAD = (NO_SERVER, "sockslocal login office", NO_FORWARD, "sockslocal start", "sockslocal autostart on")


def setup(_arguments: Namespace, context: Context) -> int:
    """Ask, try, save, start."""
    config = context.paths.config
    if not _is_somebody_there():
        return _refuse(config)
    use_line_editing()
    try:
        plan = _asked(config)
    except KeyboardInterrupt:
        return _left()
    if plan is None:
        return _left()
    try:
        save.save(plan, config)
    except KeyboardInterrupt:
        return _left()
    return _begin(plan, context.paths)


def _is_somebody_there() -> bool:
    """Who can be asked and reads what is asked, which `input` writes to stdout."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _refuse(config: Path) -> int:
    """Whoever is no terminal is told what does the same."""
    reason = "`setup` asks questions, and here is no terminal to answer them; these commands do the same"
    error = SockslocalError.of("usage", reason=reason, remedy=_INSTEAD[0])
    print_error(error, config)
    for command in _INSTEAD[1:]:
        say(f"        {spelled(command, config)}", "strong")
    return ExitCode.USAGE


def _left() -> int:
    say("")
    say("nothing was saved")
    return INTERRUPTED


def _asked(path: Path) -> Plan | None:
    """All answers; None where they are not to be saved."""
    config, tables = _what_is_there(path)
    say("A few questions, and what you answer is tried. Enter takes what stands in [brackets].")
    say("Ctrl-C leaves; nothing is saved before the end.")
    with Trial() as trial:
        server, report = servers.server(config, tables, trial)
        plan = Plan(server=server, password_from=passwords.place(server, path))
        default = next(iter(config.servers), server.name)
        through = None if server.name == default else server.name
        plan.forward = forwards.forward(config, trial, report, through)
        plan.resolver = names.resolver(config, trial, report, through)
    plan.at_login = _at_login(plan, path)
    return plan if _agreed(plan, path) else None


def _what_is_there(path: Path) -> tuple[Config, dict[str, Any]]:
    """The configuration, and the tables of its servers as they stand there. Raises ConfigError."""
    try:
        config = load(path)
    except ConfigError as error:
        if error.problem.code != "config-missing":
            raise
        return Config(path), {}
    return config, tomllib.loads(read_text(path)).get("server", {})


def _at_login(plan: Plan, config: Path) -> bool:
    """Whether it is to start at login and does not yet."""
    parts = parts_for(config).values()
    if plan.password_from == "prompt" or all(map(_is_enabled, parts)):  # noqa: S105  a place
        return False
    heading("At login")
    return confirm("Start sockslocal, and its icon in the panel, whenever you log in", proposal=True)


def _is_enabled(part: Autostart) -> bool:
    return part.enabled()


def _agreed(plan: Plan, config: Path) -> bool:
    heading(f"To be saved in {short_path(config)}")
    server = plan.server
    user = f", as {server.username}" if server.username else ""
    tell(f"server {server.name}: {server.address}{user}")
    if server.username:
        tell(f"its password: {_place(plan.password_from)}")
    if plan.forward is not None:
        forward = plan.forward
        tell(f"forward {forward.name}: {forward.kind}, {forward.listen} leads to {forward.to}")
    if plan.resolver is not None:
        tell(f"resolver: 127.0.0.1:{plan.resolver.port} asks {plan.resolver.upstream}")
    if plan.at_login:
        tell("started at login")
    return confirm("Save it, and start", proposal=True)


def _place(password_from: str | None) -> str:
    kind = (password_from or "keyring").partition(":")[0]
    path = passwords.file_of(password_from)
    if path is not None:
        return f"in {short_path(path)}"
    return {"prompt": "asked for at each start", "keyring": "in the keyring"}.get(
        kind, f"by the {kind}, as before"
    )


def _begin(plan: Plan, paths: Paths) -> int:
    """What is saved begins to work; what does not is told, and stays saved."""
    if plan.at_login:
        save.start_at_login(paths.config)
    status = save.start(plan, paths)
    if status is None:
        say(spelled("to use it: sockslocal restart", paths.config), "warn")
        return ExitCode.FAILED
    return _report(plan, status, paths)


def _report(plan: Plan, status: Status, paths: Paths) -> int:
    found = troubles(status)
    for trouble in found:
        print_warning(trouble.problem, paths.config)
    if found:
        return ExitCode.FAILED
    good(f"{plan.server.name} is up")
    heading("Try it")
    if plan.forward is not None:
        tell(f"{plan.forward.to} is at {plan.forward.listen} now, for any program here")
    command = try_it.command(plan.forward, plan.resolver.port if plan.resolver else None)
    if command:
        tell(command, "strong")
    tell("what is up and what is wrong, at any time: sockslocal status", "dim")
    return ExitCode.DONE
