"""What `server test` tells of a server: a row for each fact that its examination has found out."""

import msgspec

from sockslocal.config.model import ServerConfig
from sockslocal.net.examination import Findings
from sockslocal.net.profile import Profile
from sockslocal.socks5.client import Pipelining
from sockslocal.supervisor.server_facts import FACTS, Case, Verdict, connections_of, datagrams_of


class Row(msgspec.Struct, frozen=True):
    """A fact: a name for programs, one for people, what was found, and what that means."""

    name: str
    title: str
    found: str
    meaning: str
    verdict: Verdict


class ServerReport(msgspec.Struct, frozen=True):
    """What `server test` shows, and the profile that is kept."""

    server: str
    address: str
    seconds: float
    summary: str
    rows: tuple[Row, ...]
    profile: Profile


def report(config: ServerConfig, findings: Findings) -> ServerReport:
    """All of it, about the server that `config` describes."""
    case = Case(config, findings)
    details = _details(case)
    rows = [
        Row(fact.name, fact.title, found.format(**details), meaning.format(**details), verdict)
        for fact in FACTS
        if (value := fact.value(case)) is not None
        for verdict, found, meaning in (fact.words[value],)
    ]
    return ServerReport(
        server=config.name,
        address=str(config.address),
        seconds=round(findings.seconds, 3),
        summary=_summary(case),
        rows=tuple(rows),
        profile=findings.profile,
    )


def _details(case: Case) -> dict[str, object]:
    """What the templates are filled in from."""
    config, profile = case.config, case.profile
    target = case.findings.target
    obstacle = case.findings.udp_obstacle or ""
    return {
        "probe": config.udp_probe,
        "phrase": target.phrase if target else "",
        "rtt": _milliseconds(profile.rtt_ms or 0.0),
        "trips": _NUMBERS[_round_trips(case)],
        "rung": profile.rung,
        "obstacle": obstacle,
        "Obstacle": obstacle[:1].upper() + obstacle[1:],
        "udp_address": config.udp_address,
        "largest": f"{profile.largest_datagram or 0:,}",
    }


def _round_trips(case: Case) -> int:
    """Until data can be sent: to connect, for TLS, and for the handshake as it is spoken from now on."""
    config, pipelining = case.config, case.profile.pipelining
    messages = 2 if config.username is None else 3
    handshake = {Pipelining.NONE: messages, Pipelining.SEMI: 2, Pipelining.FULL: 1}[pipelining]
    return 1 + (config.tls is not None) + handshake


_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def _summary(case: Case) -> str:
    """The one line for who reads no more."""
    connections, datagrams = connections_of(case), datagrams_of(case)
    if connections == "answered" and datagrams == "associate":
        return "Connections and datagrams pass."
    halves = (_CONNECTIONS.get(connections), _DATAGRAMS.get(datagrams))
    unknown = "whether {} pass is not known"
    first, second = halves[0] or unknown.format("connections"), halves[1] or unknown.format("datagrams")
    summary = (
        f"{first[0].upper()}{first[1:]}; {second}."
        if any(halves)
        else "Whether anything passes is not known."
    )
    return summary if connections in {"answered", "untried"} else f"{summary} {_HINT}"


_CONNECTIONS = {"answered": "connections pass", "refused": "a connection was refused"}
_DATAGRAMS = {
    "off": "datagrams are switched off",
    "none": "datagrams do not pass",
    "no associate": "datagrams pass over TCP at most",
    "associate": "datagrams pass",
    "stream": "datagrams pass over TCP",
}
_HINT = "To know more, set udp_probe to a DNS server that it reaches."
