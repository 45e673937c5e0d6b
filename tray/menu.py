"""The menu as a value: what is known of the daemon in, rows out.

Two levels at most: GNOME shows submenus within the menu and loses what is deeper.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, NamedTuple

from sockslocal.health import State, Trouble
from sockslocal.log import escape
from sockslocal.status import Dns, Forward, Server, Status
from sockslocal_tray.actions import Action

MAX_LABEL = 80
"""Characters of a label: some panels let a longer one grow over the whole screen."""

_INDENT = "    "

MAX_TROUBLES = 3
MAX_FORWARDS = 30
"""Of each there may be more, which `status` shows."""

_SAID_ALREADY = ("not-running", "tunnel-off")
"""By the first line, and what mends it by the next."""

_PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
"""What a remedy leaves to be filled in, such as ADDRESS."""

Check = Literal["none", "check", "radio"]


class Row(NamedTuple):
    """A line of the menu; the one that is `default` is what a click on the icon does."""

    text: str
    action: Action | None = None
    check: Check = "none"
    checked: bool = False
    enabled: bool = True
    children: tuple["Row", ...] = ()
    default: bool = False


SEPARATOR = Row("")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the menu is made from.

    `status` is None where no daemon runs; `configured` tells whether there is a configuration; `at_login` is
    None where nothing can be started at login.
    """

    status: Status | None
    state: State
    troubles: tuple[Trouble, ...] = ()
    configured: bool = True
    at_login: bool | None = None
    version: str = ""


def rows(view: View) -> tuple[Row, ...]:
    """The whole menu."""
    return (
        *_top(view),
        SEPARATOR,
        *_tunnel(view.status),
        *_more(view),
        SEPARATOR,
        *_leaving(view.status),
    )


def state_line(view: View) -> str:
    """How it is, in one line; it is the title of the icon too."""
    status = view.status
    if status is None and view.state == "failed":
        return "✕ Not to be reached"
    if status is None:
        return "○ Not running" if view.configured else "○ Not set up yet"
    if status.daemon.state == "stopping":
        return "○ Stopping…"
    words = {
        "off": "○ Off",
        "connecting": "◌ Connecting",
        "up": "● Connected",
        "degraded": "◐ Partly working",
        "failed": "✕ Not working",
        "needs-unlock": "○ Waiting for the password",
    }
    facts = () if view.state == "off" else _facts(status, view.state)
    return _label(" · ".join([words[view.state], *facts]))


def _facts(status: Status, state: State) -> Iterator[str]:
    named = _server_shown(status)
    if named is not None:
        name, server = named
        latency = f", {server.latency_ms:.0f} ms" if server.latency_ms is not None else ""
        yield f"{name} ({server.address}{latency})" if server.state == "up" else f"{name} ({server.address})"
    forwards = status.forwards.values()
    listening = sum(forward.state == "listening" for forward in forwards)
    if forwards and state in ("up", "degraded"):
        yield f"{listening}/{len(forwards)} up"


def _server_shown(status: Status) -> tuple[str, Server] | None:
    """The first that is up, else the first that is tried, else the first."""
    for state in ("up", "connecting"):
        for name, server in status.servers.items():
            if server.state == state:
                return name, server
    return next(iter(status.servers.items()), None)


def _top(view: View) -> Iterator[Row]:
    chosen = Action("status" if view.configured else "setup")
    yield Row(state_line(view), chosen, default=True)
    troubles = [trouble for trouble in view.troubles if trouble.problem.code not in _SAID_ALREADY]
    for trouble in troubles[:MAX_TROUBLES]:
        yield from _trouble(trouble)
    more = len(troubles) - MAX_TROUBLES
    if more > 0:
        yield Row(f"and {more} more…", Action("status"))


def _trouble(trouble: Trouble) -> Iterator[Row]:
    """What is wrong, in two rows if it is long, and below it what mends it; all do that."""
    problem = trouble.problem
    mend = _mend(trouble)
    first, *more = wrap(escape(problem.text), MAX_LABEL - len(_INDENT)) or [problem.title]
    yield Row(f"⚠ {first}", mend)
    if more:
        yield Row(_label(_INDENT + " ".join(more)), mend)
    if problem.remedy:
        yield Row(_label(f"{_INDENT}→ {problem.remedy}"), mend)


def _mend(trouble: Trouble) -> Action:
    """What the remedy asks for, as far as it can be done from here; else where more is told of it."""
    remedy = trouble.problem.remedy
    kind, _, name = trouble.about.partition(" ")
    if kind == "server" and trouble.severity == "locked":
        return Action("unlock", name)
    if kind == "server" and "sockslocal login " in remedy:
        return Action("password", name)
    if remedy.startswith("sockslocal "):
        return Action("setup") if _PLACEHOLDER.search(remedy) else Action("remedy", remedy)
    return Action("config") if "[" in remedy else Action("status")


def _tunnel(status: Status | None) -> Iterator[Row]:
    """What a running daemon can be told."""
    if status is None or status.daemon.state == "stopping":
        return
    on = status.tunnel.on
    yield Row("Turn off" if on else "Turn on", Action("tunnel", "off" if on else "on"))
    if status.forwards:
        yield Row("Forwards", children=tuple(_forwards(status)))
    if status.dns is not None:
        yield Row("DNS", children=tuple(_dns(status.dns, tunnel_on=on)))
    if status.servers:
        yield Row("Server", children=tuple(_servers(status)))
    yield SEPARATOR


def _forwards(status: Status) -> Iterator[Row]:
    shown = list(status.forwards.items())[:MAX_FORWARDS]
    for name, forward in shown:
        on = forward.state != "off"
        action = Action("forward.off" if on else "forward.on", name)
        text = f"{'⚠ ' if forward.state == 'error' else ''}{name}    {_way(forward)}"
        yield Row(_label(text), action, "check", on, status.tunnel.on)
    more = len(status.forwards) - len(shown)
    if more:
        yield Row(f"and {more} more…", Action("status"))
    yield SEPARATOR
    for name, forward in shown:
        yield Row(_label(f"Copy address of {name}"), Action("copy", forward.listen))


def _way(forward: Forward) -> str:
    kind = "" if forward.kind == "tcp" else " (UDP)"
    return f"{forward.listen} → {forward.to}{kind}"


def _dns(dns: Dns, *, tunnel_on: bool) -> Iterator[Row]:
    on = dns.state != "off"
    switch = Action("dns", "off" if on else "on")
    yield Row(_label(f"Resolver {dns.listen}"), switch, "check", on, tunnel_on)
    asked = bool(dns.system)
    usable = asked or dns.state == "listening"
    text = f"Use as system DNS (by {dns.system})" if asked else "Use as system DNS"
    yield Row(_label(text), Action("system-dns", "off" if asked else "on"), "check", asked, usable)
    yield Row("Flush cache", Action("dns.flush"), enabled=dns.state == "listening")


def _servers(status: Status) -> Iterator[Row]:
    first = next(iter(status.servers))
    for name, server in status.servers.items():
        text = f"{name}    {server.address}{_condition(server)}"
        yield Row(_label(text), Action("server", name), "radio", name == first)
    yield SEPARATOR
    wanting = _wanting_password(status) or first
    whose = f" of {wanting}" if len(status.servers) > 1 else ""
    yield Row(_label(f"Enter password{whose}…"), Action("password", wanting))


def _condition(server: Server) -> str:
    if server.state == "up":
        return f" · {server.latency_ms:.0f} ms" if server.latency_ms is not None else ""
    words = {
        "connecting": " · connecting",
        "down": " · down",
        "auth-failed": " · login rejected",
        "needs-unlock": " · locked",
    }
    return words.get(server.state, "")


def _wanting_password(status: Status) -> str | None:
    for name, server in status.servers.items():
        code = server.problem.code if server.problem else ""
        if server.state == "auth-failed" or code.startswith("password-"):
            return name
    return None


def _more(view: View) -> Iterator[Row]:
    if view.status is None and view.configured and view.state != "failed":
        yield Row("Start", Action("start"))
    if not view.configured:
        yield Row("Set up…", Action("setup"))
    yield Row("More", children=tuple(_rarely(view)))


def _rarely(view: View) -> Iterator[Row]:
    yield Row("Show logs", Action("logs"))
    if view.configured:
        yield Row("Open configuration", Action("config"))
        yield Row("Set up…", Action("setup"))
    yield Row("Run doctor", Action("doctor"))
    if view.at_login is not None:
        switch = Action("at-login", "off" if view.at_login else "on")
        yield Row("Start at login", switch, "check", view.at_login)
    yield SEPARATOR
    yield Row(_label(_versions(view)), enabled=False)


def _versions(view: View) -> str:
    """A daemon that was not restarted after an upgrade is another version than this tray."""
    running = view.status.daemon.version if view.status else view.version
    service = f" (service: {running})" if running != view.version else ""
    return f"sockslocal {view.version}{service}"


def _leaving(status: Status | None) -> Iterator[Row]:
    if status is None:
        yield Row("Quit", Action("quit"))
        return
    yield Row("Quit tray (service keeps running)", Action("quit"))
    yield Row("Stop service and quit", Action("stop-and-quit"))


def _label(text: str) -> str:
    """What configurations and servers say, on one line and not endless."""
    shown = escape(text)
    return shown if len(shown) <= MAX_LABEL else f"{shown[: MAX_LABEL - 1]}…"
