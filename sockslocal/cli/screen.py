"""What `status` shows a person: what is up, what is wrong, and the command that mends it.

Pure: from a `Status` to lines. Every row is one line where the terminal is wide enough, with the numbers on a
line of their own where it is not; what is wrong stands below what it is wrong with.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sockslocal.cli.render import columns
from sockslocal.cli.terminal import Line, Span, Style, line
from sockslocal.health import troubles
from sockslocal.problems import Problem
from sockslocal.status import Dns, Forward, Server, Status

_GOOD: dict[str, Style] = {"up": "good", "listening": "good"}
_IDLE = {"off", "unknown", "connecting"}

NO_SERVER = "sockslocal server add office proxy.example.net:1080 --username ana"
NO_FORWARD = "sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432"
"""What to type where there is nothing yet."""


class Marks(NamedTuple):
    """The signs in front of what is good, idle and bad, and the arrows."""

    good: str
    idle: str
    bad: str
    to: str
    out: str
    back: str


UNICODE = Marks("●", "○", "✗", "→", "↑", "↓")
ASCII = Marks("+", "-", "x", "->", "out ", "in ")


class View(NamedTuple):
    """How the picture is to be drawn, at most `width` columns wide where the names allow.

    `spell` is what becomes of a command before it is proposed. `config` is the file that the daemon uses,
    where that is worth telling.
    """

    width: int
    marks: Marks = UNICODE
    spell: Callable[[str], str] = str
    config: str = ""


class _Row(NamedTuple):
    """One thing: its cells, numbers for the end of the line, and what is wrong with it."""

    cells: tuple[Span, ...]
    numbers: str
    problem: Problem | None


def screen(status: Status, view: View) -> list[Line]:
    """The whole picture."""
    marks = view.marks
    untold = {trouble.problem for trouble in troubles(status)}
    sections = [
        _heading(status, view),
        _section("Servers", [_server(*item, marks) for item in status.servers.items()], view, untold),
        _section("Forwards", _forwards(status, marks), view, untold),
        *([_section("DNS", [_dns(status.dns, marks)], view, untold)] if status.dns else []),
        _section("In general", _general(status, untold, marks), view, untold),
        _next(status, view),
        _verdict(status),
    ]
    lines: list[Line] = []
    for section in filter(None, sections):
        lines += [*([()] if lines else []), *section]
    return lines


def _heading(status: Status, view: View) -> list[Line]:
    daemon = status.daemon
    facts = (
        daemon.version,
        f"up {duration(daemon.uptime_s)}",
        f"process {daemon.pid}",
        size(daemon.rss_bytes),
    )
    lines: list[Line] = [(Span("sockslocal ", "strong"), Span(", ".join(facts), "dim"))]
    if view.config:
        lines.append(line(f"It uses another configuration: {view.config}", "warn"))
    if daemon.state == "stopping":
        lines.append(line(_stopping(status), "warn"))
    elif not status.tunnel.on:
        lines.append((Span("The tunnel is off: ", "warn"), Span("sockslocal on", "strong")))
    return lines


def _stopping(status: Status) -> str:
    tcp = [forward for forward in status.forwards.values() if forward.kind == "tcp"]
    open_now = count(sum(forward.connections.open for forward in tcp), "connection is", "connections are")
    seconds = math.ceil(status.daemon.stops_within_s or 0.0)
    return f"It is stopping: {open_now} open, and may take {seconds} s more to end"


def _section(title: str, rows: Sequence[_Row], view: View, untold: set[Problem]) -> list[Line]:
    if not rows:
        return []
    lines = [line(title, "strong")]
    aligned = columns([(Span(""), *row.cells) for row in rows])
    beside = all(
        sum(len(span.text) for span in cells) + len(row.numbers) <= view.width
        for cells, row in zip(aligned, rows, strict=True)
    )
    for cells, row in zip(aligned, rows, strict=True):
        if beside:
            lines.append((*cells, Span(row.numbers, "dim")))
        else:
            lines.append(cells)
            lines += [line(f"      {row.numbers}", "dim")] if row.numbers else []
        lines += _wrong(row.problem, view, untold)
    return lines


def _wrong(problem: Problem | None, view: View, untold: set[Problem]) -> list[Line]:
    """What is wrong, unless that was told already, or only follows from what is told elsewhere."""
    if problem is None or problem not in untold:
        return []
    untold.remove(problem)
    text = [line(f"      {part}", "bad") for part in textwrap.wrap(problem.text, max(20, view.width - 6))]
    return [*text, (Span(f"      {view.marks.to} ", "dim"), Span(view.spell(problem.remedy), "strong"))]


def _mark(state: str, marks: Marks) -> Span:
    if state in _GOOD:
        return Span(marks.good, "good")
    return Span(marks.idle, "dim") if state in _IDLE else Span(marks.bad, "bad")


def _server(name: str, server: Server, marks: Marks) -> _Row:
    style: Style = _GOOD.get(server.state, "dim" if server.state in _IDLE else "bad")
    latency = "" if server.latency_ms is None else f"{server.latency_ms:.0f} ms"
    udp = {"unknown": "", "none": "no UDP", "associate": "UDP"}.get(server.udp, f"UDP by {server.udp}")
    numbers = ", ".join(filter(None, (latency, udp)))
    cells = (_mark(server.state, marks), Span(name), Span(server.address), Span(server.state, style))
    return _Row(cells, numbers, server.problem)


def _forwards(status: Status, marks: Marks) -> list[_Row]:
    several = len(status.servers) > 1
    return [_forward(*item, marks, several=several) for item in status.forwards.items()]


def _forward(name: str, forward: Forward, marks: Marks, *, several: bool) -> _Row:
    way = f"{forward.listen} {marks.to} {forward.to}"
    via = (Span(f"via {forward.server}", "dim"),) if several else ()
    cells = (_mark(forward.state, marks), Span(name), Span(forward.kind, "dim"), Span(way), *via)
    return _Row(cells, _traffic(forward, marks), forward.problem)


def _traffic(forward: Forward, marks: Marks) -> str:
    done, octets = forward.connections, forward.bytes
    if forward.state == "off":
        return f"off, {done.open} open" if done.open else "off"
    what = ("connection", "connections") if forward.kind == "tcp" else ("flow", "flows")
    parts = [
        f"{done.open} open" if done.open or not done.total else count(done.total, *what),
        f"{done.failed} failed" if done.failed else "",
        f"{forward.dropped} dropped" if forward.dropped else "",
        f"{marks.out}{size(octets.sent)} {marks.back}{size(octets.received)}"
        if octets.sent or octets.received
        else "",
    ]
    return ", ".join(filter(None, parts))


def _dns(dns: Dns, marks: Marks) -> _Row:
    numbers = "off" if dns.state == "off" else count(dns.queries, "query", "queries")
    if dns.queries:
        numbers += f", {100 * dns.cache_hits // dns.queries} % from the cache"
    if dns.failed:
        numbers += f", {dns.failed} failed"
    if dns.system:
        numbers += f", the system asks it by {dns.system}"
    return _Row((_mark(dns.state, marks), Span(dns.listen)), numbers, dns.problem)


def _general(status: Status, untold: set[Problem], marks: Marks) -> list[_Row]:
    """What is wrong with no part in particular."""
    return [
        _Row((Span(marks.bad, "bad"), Span(problem.title)), "", problem)
        for problem in status.problems
        if problem in untold
    ]


def _next(status: Status, view: View) -> list[Line]:
    """What is still to be done."""
    if not status.servers:
        return _hint("There is no server yet:", view.spell(NO_SERVER))
    if not status.forwards and status.dns is None:
        return _hint("There is no forward yet:", view.spell(NO_FORWARD))
    return []


def _hint(text: str, command: str) -> list[Line]:
    return [line(text), (Span("  "), Span(command, "strong"))]


def _verdict(status: Status) -> list[Line]:
    """The last line is what a person sees first."""
    wrong = len(troubles(status))
    if wrong:
        return [line(f"{count(wrong, 'problem', 'problems')}, with what mends it above.", "bad")]
    goes_on = status.tunnel.on and status.daemon.state == "running"
    return [line("All is well.", "good")] if status.servers and goes_on else []


def count(number: int, one: str, many: str) -> str:
    """`1 query`, `2 queries`."""
    return f"{number} {one if number == 1 else many}"


def size(octets: int) -> str:
    """`120 B`, `4.1 kB`, `31 MB`."""
    value, unit = float(octets), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h 5 min`, `4 d 1 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86400
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
