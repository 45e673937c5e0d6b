"""A first forward: asked for, its port seen to be free, and its target tried through the server."""

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sockslocal.address import AddressError, Endpoint, ListenAddress, ip_of, parse_endpoint
from sockslocal.cli.first_run.plan import ForwardAnswer
from sockslocal.cli.first_run.questions import WrongAnswer, ask, bad, choose, confirm, good, heading, tell
from sockslocal.cli.first_run.trial import Trial
from sockslocal.config.load import RESERVED
from sockslocal.config.model import Config, TcpForwardConfig, UdpForwardConfig
from sockslocal.config.table import is_name
from sockslocal.errors import SockslocalError
from sockslocal.holders import find_holder
from sockslocal.quoting import listed, quote

FIRST_UNPRIVILEGED = 1024
"""Ports below need a privilege on Unix."""

_NAMES = {
    22: "ssh",
    80: "web",
    443: "web",
    3306: "mysql",
    3389: "rdp",
    5432: "db",
    5900: "vnc",
    6379: "redis",
}
"""What forwards to these ports may be called; others after the host that they lead to."""


def forward(
    config: Config, trial: Trial, report: dict[str, Any] | None, through: str | None
) -> ForwardAnswer | None:
    """A forward, None where none is wanted; without a `report` of the server it is not tried."""
    heading("A forward: programs here connect to a local port, and reach what is behind the server")
    there = [*config.tcp, *config.udp]
    if there:
        tell(f"there already: {listed(there)}")
    if not confirm("Make another one now" if there else "Make one now", proposal=not there):
        return None
    answer: ForwardAnswer | None = None
    while True:
        answer = _ask(config, report, through, answer)
        if report is None or _works(answer, trial):
            return answer
        after = choose("What now: change something, keep it all the same, or make none", _AFTER, "change")
        if after != "change":
            return answer if after == "keep" else None


_AFTER = ("change", "keep", "none")


def _works(answer: ForwardAnswer, trial: Trial) -> bool:
    if answer.kind == "udp":
        tell("whether anybody answers there, only your program can find out", "dim")
    else:
        tell(f"trying {answer.to} through the server", "dim")
    try:
        answers = trial.forward(answer.wish(tried=True), answer.port)
    except SockslocalError as error:
        bad(error.problem.text)
        return False
    if answers == "answers":
        good(f"{answer.to} answers")
    elif answer.kind == "tcp":
        tell(f"{answer.to} neither answered nor refused; it may be waiting to be spoken to", "warn")
    return True


def _ask(
    config: Config, report: dict[str, Any] | None, through: str | None, old: ForwardAnswer | None
) -> ForwardAnswer:
    """With the answers of before as proposals."""
    kind = _kind(report, old.kind if old else "tcp")
    to = ask("Where it leads, host:port as the server knows it", _target, str(old.to) if old else "")
    port = ask("Local port, on 127.0.0.1", _port(config, kind), str(_proposed_port(config, kind, to, old)))
    name = ask("A name for it, to use in commands", _name(config), old.name if old else _name_for(to, config))
    return ForwardAnswer(kind=kind, name=name, port=port, to=to, through=through)


def _proposed_port(config: Config, kind: str, to: Endpoint, old: ForwardAnswer | None) -> int:
    """That of before, else that of the target, and why it is not if it cannot be."""
    wanted = old.port if old else to.port
    proposal = free_port(config, kind, wanted)
    if proposal != wanted:
        tell(f"{why_taken(config, kind, wanted)}, so another is proposed", "dim")
    return proposal


def _kind(report: dict[str, Any] | None, proposal: str) -> str:
    """TCP, where no datagrams pass."""
    if report is not None and report["profile"]["rung"] == "none":
        tell("it will be a TCP forward, as no datagrams pass through this server", "dim")
        return "tcp"
    return choose("What it carries", ("tcp", "udp"), proposal)


def _target(text: str) -> Endpoint:
    try:
        return parse_endpoint(text)
    except AddressError as error:
        raise WrongAnswer(str(error)) from None


def _port(config: Config, kind: str) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
            raise WrongAnswer(f"{quote(text)} is no port, which is a number from 1 to 65535")
        port = int(text)
        taken = why_taken(config, kind, port)
        if taken:
            raise WrongAnswer(taken)
        return port

    return check


def free_port(config: Config, kind: str, wanted: int) -> int:
    """The port `wanted`, if it is free here; else one that is."""
    port = wanted if wanted >= FIRST_UNPRIVILEGED else wanted + 10_000
    candidates: list[int] = [wanted, port, port + 10_000, *range(port + 1, port + 50)]
    for candidate in candidates:
        if candidate < 65536 and not why_taken(config, kind, candidate):
            return candidate
    with closing(_socket(kind)) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def why_taken(config: Config, kind: str, port: int) -> str:
    """Why `port` of 127.0.0.1 cannot be listened on, empty where it can.

    `kind` is tcp, udp or, for both, dns.
    """
    if port < FIRST_UNPRIVILEGED:
        return f"port {port} needs a privilege; from {FIRST_UNPRIVILEGED} on none does"
    for transport in ("udp", "tcp") if kind == "dns" else (kind,):
        for name, addresses in _listening(config, transport):
            if any(isinstance(address, Endpoint) and address.port == port for address in addresses):
                return f"port {port} is that of {name}, in the same file"
        with closing(_socket(transport)) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                holder = find_holder(Endpoint("127.0.0.1", port), stream=transport == "tcp")
                return f"port {port} is in use by {holder[1] if holder else 'another program'}"
    return ""


def _socket(transport: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
    if transport != "udp":  # what lingers after a connection keeps nobody from listening
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _listening(config: Config, transport: str) -> list[tuple[str, tuple[ListenAddress, ...]]]:
    """What the file has listen on addresses of `transport`."""
    group: dict[str, TcpForwardConfig] | dict[str, UdpForwardConfig]
    group = config.tcp if transport == "tcp" else config.udp
    found: list[tuple[str, tuple[ListenAddress, ...]]] = []
    found += [(f"forward {quote(name)}", tuple(forward.listen)) for name, forward in group.items()]
    if config.dns is not None:
        found.append(("the resolver", config.dns.listen))
    return found


def _name(config: Config) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not is_name(text):
            raise WrongAnswer(f"{quote(text)} is no name: letters, digits, - and _ make one")
        if text == RESERVED:
            raise WrongAnswer(f"{quote(text)} is what commands call the resolver")
        if text in config.tcp or text in config.udp:
            raise WrongAnswer(f"there is a forward {quote(text)} already")
        return text

    return check


def _name_for(to: Endpoint, config: Config) -> str:
    """By the port or the host that it leads to, one that no other has."""
    label = to.host.partition(".")[0]
    by_host = label if ip_of(to.host) is None and is_name(label) else "first"
    base = _NAMES.get(to.port, by_host)
    names = (base, by_host, *(f"{base}{number}" for number in range(2, 1000)))
    taken = {*config.tcp, *config.udp, RESERVED}
    return next(name for name in names if name not in taken)
