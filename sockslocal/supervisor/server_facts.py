"""The facts that a server's examination finds out, and what each of their values means to a user."""

from collections.abc import Callable, Hashable, Mapping
from typing import Literal, NamedTuple

from sockslocal.config.model import ServerConfig
from sockslocal.net.examination import Findings, twin_of
from sockslocal.net.profile import Profile
from sockslocal.socks5.messages import Reply

Verdict = Literal["good", "note", "bad", "unknown"]
"""`note`: worth knowing, and nothing is to be done about it."""

ANY_SIZE = 65_000
"""Octets; a datagram that passes with so many has nearly as many as there can be."""


class Case(NamedTuple):
    """A server, as it is configured and as it was found."""

    config: ServerConfig
    findings: Findings

    @property
    def profile(self) -> Profile:
        return self.findings.profile


class Words(NamedTuple):
    """What to say of one value of a fact; both texts are templates."""

    verdict: Verdict
    found: str
    meaning: str


class Fact(NamedTuple):
    """`value` is what `words` has an entry for; None where nothing is to be said."""

    name: str
    title: str
    value: Callable[[Case], Hashable]
    words: Mapping[Hashable, Words]


_UNKNOWN = Words("unknown", "not known", "There was no time to find out.")
_NOTHING_TO_COMPARE = Words("unknown", "not known", "Nothing came back from {probe} to compare with.")


def connections_of(case: Case) -> str:
    """How the connection to `udp_probe` fared."""
    target = case.findings.target
    if target is None:
        return "untried"
    if target.answered:
        return "answered"
    if target.code == Reply.SUCCEEDED:
        return "granted"
    return "silent" if target.code is None and not target.closed else "refused"


def _joined(case: Case) -> str | None:
    profile = case.profile
    if profile.pipelined:
        return "all"
    return "two" if profile.semi_pipelined else _known(profile.pipelined, case)


def _known(value: bool | None, case: Case) -> str | None:  # noqa: FBT001  it is what the profile says
    """`yes`, `no`, or why that is not known; None where it was not tried."""
    if value is not None:
        return "yes" if value else "no"
    target = case.findings.target
    if target is None:
        return None
    return "unknown" if target.answered else "nothing to compare"


def _ipv6(case: Case) -> str | None:
    probe = case.config.udp_probe
    if probe is None:
        return None
    if case.profile.ipv6 is None and twin_of(probe) is None:
        return "no twin"
    return case.profile.ipv6 or _known(None, case)


def datagrams_of(case: Case) -> str:
    """How datagrams fared."""
    if case.config.udp == "off":
        return "off"
    rung = case.profile.rung
    if rung is not None:
        return rung if rung in {"associate", "none"} else "stream"
    if case.findings.no_associate:
        return "no associate"
    if case.findings.udp_obstacle is not None:
        return "hindered"
    return "unknown" if case.config.udp_probe is not None else "untried"


def _relay(case: Case) -> str | None:
    if case.profile.rung != "associate":
        return None
    if case.config.udp_address is not None and case.profile.relay_rule == "given":
        return "as set"
    misnamed = case.profile.relay_rule == "given" and case.profile.names_relay is False
    return "misnamed" if misnamed else case.profile.relay_rule


def _largest(case: Case) -> str | None:
    largest = case.profile.largest_datagram
    if largest is None:
        return "unknown" if case.profile.rung not in {None, "none"} else None
    return "any" if largest >= ANY_SIZE else "limited"


FACTS = (
    Fact(
        "login",
        "Login",
        lambda case: case.profile.methods or "unknown",
        {
            ("password",): Words(
                "good", "user and password", "It accepts yours, and lets nobody in without."
            ),
            ("password", "none"): Words(
                "note", "not needed", "It accepts yours, but lets this computer in without one too."
            ),
            ("none",): Words("good", "none", "It wants none: whoever reaches it may use it."),
            ("none", "password"): Words(
                "good", "none needed", "Whoever reaches it may use it; it would take a user and password too."
            ),
            "unknown": _UNKNOWN,
        },
    ),
    Fact(
        "round-trip",
        "Round trip",
        lambda case: "known" if case.profile.rtt_ms is not None else "unknown",
        {
            "known": Words(
                "good", "{rtt}", "Each new connection takes {trips} of them, connecting included."
            ),
            "unknown": _UNKNOWN,
        },
    ),
    Fact(
        "connections",
        "Connections",
        connections_of,
        {
            "answered": Words("good", "pass", "{probe} was connected to, and answered."),
            "granted": Words("unknown", "granted", "But nothing comes back from {probe}: {phrase}."),
            "silent": Words("unknown", "not known", "A connection to {probe} was asked for: {phrase}."),
            "refused": Words("bad", "refused", "A connection to {probe} was asked for: {phrase}."),
            "untried": Words("unknown", "not tried", 'With udp_probe = "off" there is nobody to connect to.'),
        },
    ),
    Fact(
        "split-messages",
        "Split messages",
        lambda case: _known(case.profile.split, case),
        {
            "yes": Words("good", "understood", "It waits for the rest of a message that comes in pieces."),
            "no": Words(
                "note", "not understood", "It takes a piece for the whole, so each is sent as a whole."
            ),
            "unknown": _UNKNOWN,
            "nothing to compare": _NOTHING_TO_COMPARE,
        },
    ),
    Fact(
        "joined-messages",
        "Joined messages",
        _joined,
        {
            "all": Words("good", "understood", "All messages of a handshake leave at once."),
            "two": Words("good", "login and request", "These two messages leave at once."),
            "no": Words(
                "note", "not understood", "Each message has to wait for the answer to the one before."
            ),
            "unknown": _UNKNOWN,
            "nothing to compare": _NOTHING_TO_COMPARE,
        },
    ),
    Fact(
        "early-data",
        "Early data",
        lambda case: _known(case.profile.optimistic, case),
        {
            "yes": Words("good", "kept", "Data sent along with a request would arrive."),
            "no": Words("note", "lost", "Data sent along with a request is lost, so none is."),
            "unknown": _UNKNOWN,
            "nothing to compare": _NOTHING_TO_COMPARE,
        },
    ),
    Fact(
        "ipv6",
        "IPv6",
        _ipv6,
        {
            "yes": Words("good", "passes", "IPv6 targets can be connected to."),
            "no-route": Words(
                "note", "no route", "It knows IPv6, but has no way to targets that have only that."
            ),
            "unsupported": Words(
                "note", "not supported", "It does not take IPv6 addresses; names and IPv4 it does."
            ),
            "fails": Words("note", "fails", "Connections to IPv6 targets fail, and it does not say why."),
            "no twin": Words("unknown", "not tried", "No IPv6 address of {probe} is known, to be tried."),
            "unknown": _UNKNOWN,
            "nothing to compare": _NOTHING_TO_COMPARE,
        },
    ),
    Fact(
        "udp",
        "UDP",
        datagrams_of,
        {
            "associate": Words("good", "UDP ASSOCIATE", "Datagrams pass: {probe} answered."),
            "stream": Words(
                "good", "over TCP, {rung}", "Datagrams pass inside a connection: {probe} answered."
            ),
            "none": Words("bad", "none", "Datagrams do not pass: {obstacle}."),
            "no associate": Words(
                "bad",
                "no UDP ASSOCIATE",
                '{Obstacle}; over TCP it may take datagrams, but with udp_probe = "off" that is not tried.',
            ),
            "hindered": Words("unknown", "not known", "{Obstacle}."),
            "off": Words("note", "off", 'The configuration says udp = "off".'),
            "untried": Words("unknown", "not tried", 'With udp_probe = "off" there is nobody to ask.'),
            "unknown": _UNKNOWN,
        },
    ),
    Fact(
        "udp-relay",
        "UDP relay",
        _relay,
        {
            "given": Words("good", "where it says", "Datagrams pass at the address that it names."),
            "misnamed": Words(
                "note",
                "at the server",
                "The address that it names cannot be right; its own is.",
            ),
            "server": Words(
                "note", "at the server", "Nobody answers at the address that it names, but at its own."
            ),
            "port": Words(
                "note", "wants our port", "It has to be told the port that datagrams will come from."
            ),
            "as set": Words("good", "as configured", "Datagrams pass at {udp_address}."),
        },
    ),
    Fact(
        "udp-answers",
        "UDP answers",
        lambda case: case.profile.foreign_source,
        {
            "no": Words("good", "from the relay", "What comes from anybody else is not let in."),
            "port": Words("note", "from another port", "So whoever finds our port can send something too."),
            "address": Words(
                "note", "from another host", "So whoever finds our port can send something too."
            ),
        },
    ),
    Fact(
        "udp-senders",
        "UDP senders",
        lambda case: case.profile.names_remote,
        {
            True: Words("good", "named", "Many programs can share an association."),
            False: Words("note", "not named", "Each flow of datagrams needs an association of its own."),
        },
    ),
    Fact(
        "udp-association",
        "UDP association",
        lambda case: case.profile.closes_control or None,
        {True: Words("note", "closed at once", "It closes its connection, and relays all the same.")},
    ),
    Fact(
        "udp-size",
        "Largest datagram",
        _largest,
        {
            "any": Words("good", "any size", "Datagrams of all sizes come back whole."),
            "limited": Words("note", "{largest} octets", "Longer ones are cut or lost, so none is sent."),
            "unknown": Words("unknown", "not known", "Only an echo could tell, and {probe} is none."),
        },
    ),
    Fact(
        "udp-ipv6",
        "IPv6 by UDP",
        lambda case: case.profile.udp_ipv6,
        {
            True: Words("good", "passes", "IPv6 remotes answer."),
            False: Words("note", "no answer", "IPv6 remotes cannot be reached by datagrams."),
        },
    ),
)
