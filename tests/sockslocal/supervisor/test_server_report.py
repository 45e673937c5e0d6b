from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig, TlsConfig
from sockslocal.net.examination import Findings
from sockslocal.net.probe_handshakes import Trial
from sockslocal.net.profile import Profile
from sockslocal.supervisor.server_facts import FACTS
from sockslocal.supervisor.server_report import Row, ServerReport, report

ANSWERED, SILENT = Trial(0, answered=True), Trial(phrase="no answer in time")
REFUSED = Trial(4, phrase="the server does not know or cannot reach the target")
GRANTED = Trial(0, closed=True, phrase="the connection was closed without an answer")

HINT = "To know more, set udp_probe to a DNS server that it reaches."

GOOD = Profile(
    methods=("password",),
    split=True,
    semi_pipelined=True,
    pipelined=True,
    optimistic=True,
    ipv6="yes",
    rtt_ms=12.34,
    rung="associate",
    relay_rule="given",
    names_relay=True,
    foreign_source="no",
    closes_control=False,
    names_remote=True,
    largest_datagram=65_497,
    udp_ipv6=True,
    probe_answers=True,
)


def told(
    profile: Profile = GOOD, target: Trial | None = ANSWERED, obstacle: str | None = None, **config: Any
) -> ServerReport:
    """The report of these findings."""
    settings = {"username": "ana", **config}
    server = ServerConfig(name="office", address=Endpoint("proxy.example.net", 1080), **settings)
    return report(server, Findings(profile, target, obstacle, 1.23456))


def row(name: str, *arguments: Any, **more: Any) -> Row | None:
    """The row `name` of the report of these findings, if it has one."""
    return next((row for row in told(*arguments, **more).rows if row.name == name), None)


def words(name: str, *arguments: Any, **more: Any) -> tuple[str, str]:
    """What that row says at a glance: its verdict and what was found."""
    found = row(name, *arguments, **more)
    assert found is not None
    return found.verdict, found.found


def test_a_good_server() -> None:
    """All is good, nothing is left out that was found, and the profile comes along."""
    shown = told()
    assert (shown.server, shown.address, shown.seconds) == ("office", "proxy.example.net:1080", 1.235)
    assert shown.summary == "Connections and datagrams pass."
    assert {row.verdict for row in shown.rows} == {"good"}
    assert [row.title for row in shown.rows] == [
        "Login",
        "Round trip",
        "Connections",
        "Split messages",
        "Joined messages",
        "Early data",
        "IPv6",
        "UDP",
        "UDP relay",
        "UDP answers",
        "UDP senders",
        "Largest datagram",
        "IPv6 by UDP",
    ]
    assert shown.profile is GOOD


def test_names_are_for_programs() -> None:
    """Each fact has one of its own, without spaces."""
    names = [fact.name for fact in FACTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and name.islower() for name in names)


def test_the_report_crosses_the_control_socket() -> None:
    """As it is."""
    encoded = msgspec.json.encode(told())
    assert msgspec.json.decode(encoded, type=ServerReport) == told()


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (("password",), ("good", "user and password")),
        (("password", "none"), ("note", "not needed")),
        (("none",), ("good", "none")),
        (("none", "password"), ("good", "none needed")),
        (None, ("unknown", "not known")),
    ],
)
def test_ways_in(methods: Any, expected: tuple[str, str]) -> None:
    """A login that is not needed is worth a note."""
    assert words("login", GOOD.replace(methods=methods)) == expected


@pytest.mark.parametrize(
    ("rtt_ms", "found"), [(0.12, "0.1 ms"), (9.94, "9.9 ms"), (12.34, "12 ms"), (250.0, "250 ms")]
)
def test_the_round_trip(rtt_ms: float, found: str) -> None:
    """As exact as it is of use."""
    assert words("round-trip", GOOD.replace(rtt_ms=rtt_ms)) == ("good", found)


@pytest.mark.parametrize(
    ("facts", "config", "number"),
    [
        ({}, {}, "two"),
        ({}, {"username": None}, "two"),
        ({}, {"tls": TlsConfig("proxy.example.net")}, "three"),
        ({"pipelined": False}, {}, "three"),
        ({"pipelined": False, "semi_pipelined": False}, {}, "four"),
        ({"pipelined": None, "semi_pipelined": None}, {}, "four"),
        ({"pipelined": False, "semi_pipelined": None}, {"username": None}, "three"),
        ({"pipelined": False, "semi_pipelined": False}, {"tls": TlsConfig("proxy.example.net")}, "five"),
    ],
)
def test_what_a_connection_takes(facts: dict[str, Any], config: dict[str, Any], number: str) -> None:
    """One round trip to connect, one for TLS, and as many as messages have to wait for an answer."""
    shown = row("round-trip", GOOD.replace(**facts), **config)
    assert shown is not None
    assert shown.meaning == f"Each new connection takes {number} of them, connecting included."


def test_a_round_trip_that_is_not_known() -> None:
    """Nor is then what a connection takes."""
    assert words("round-trip", GOOD.replace(rtt_ms=None)) == ("unknown", "not known")


def test_no_association_for_anybody() -> None:
    """That is known without a probe; whether datagrams pass over TCP is not."""
    findings = Findings(Profile(), None, "the server does not support this command", 1.0, no_associate=True)
    server = ServerConfig(name="office", address=Endpoint("192.0.2.7", 1080), udp_probe=None)
    shown = report(server, findings)
    (udp,) = (row for row in shown.rows if row.name == "udp")
    assert (udp.verdict, udp.found) == ("bad", "no UDP ASSOCIATE")
    assert udp.meaning.startswith("The server does not support this command; over TCP it may")
    assert shown.summary == "Whether connections pass is not known; datagrams pass over TCP at most."


@pytest.mark.parametrize(
    ("target", "expected", "phrase"),
    [
        (ANSWERED, ("good", "pass"), "9.9.9.9:53 was connected to, and answered."),
        (REFUSED, ("bad", "refused"), "the server does not know or cannot reach the target."),
        (
            Trial(closed=True, phrase="it closed the connection during the reply"),
            ("bad", "refused"),
            "reply.",
        ),
        (GRANTED, ("unknown", "granted"), "9.9.9.9:53: the connection was closed without an answer."),
        (SILENT, ("unknown", "not known"), "no answer in time."),
        (None, ("unknown", "not tried"), 'udp_probe = "off"'),
    ],
)
def test_connections(target: Trial | None, expected: tuple[str, str], phrase: str) -> None:
    """Whoever was to be connected to, and what came of it."""
    shown = row("connections", GOOD, target)
    assert shown is not None
    assert (shown.verdict, shown.found) == expected
    assert phrase in shown.meaning


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"pipelined": True, "semi_pipelined": None}, ("good", "understood")),
        ({"pipelined": False, "semi_pipelined": True}, ("good", "login and request")),
        ({"pipelined": False, "semi_pipelined": False}, ("note", "not understood")),
        ({"pipelined": False, "semi_pipelined": None}, ("note", "not understood")),
        ({"pipelined": None, "semi_pipelined": None}, ("unknown", "not known")),
    ],
)
def test_joined_messages(facts: dict[str, Any], expected: tuple[str, str]) -> None:
    """Two facts in one row."""
    assert words("joined-messages", GOOD.replace(**facts)) == expected


@pytest.mark.parametrize("name", ["split-messages", "joined-messages", "early-data", "ipv6"])
def test_why_a_handshake_is_not_known(name: str) -> None:
    """For want of time, of an answer to compare with, or of somebody to connect to, when it is left out."""
    nothing = Profile()
    meanings = []
    for target in (ANSWERED, SILENT):
        shown = row(name, nothing, target)
        assert shown is not None
        assert (shown.verdict, shown.found) == ("unknown", "not known")
        meanings.append(shown.meaning)
    assert meanings == [
        "There was no time to find out.",
        "Nothing came back from 9.9.9.9:53 to compare with.",
    ]
    assert row(name, nothing, None, udp_probe=None) is None


@pytest.mark.parametrize(
    ("ipv6", "expected"),
    [
        ("yes", ("good", "passes")),
        ("no-route", ("note", "no route")),
        ("unsupported", ("note", "not supported")),
        ("fails", ("note", "fails")),
    ],
)
def test_ipv6(ipv6: Any, expected: tuple[str, str]) -> None:
    """That a server does not support it is told from that it has no way there."""
    assert words("ipv6", GOOD.replace(ipv6=ipv6)) == expected


def test_ipv6_that_could_not_be_tried() -> None:
    """Where nobody knows an address to try."""
    probe = Endpoint("192.0.2.53", 53)
    assert words("ipv6", GOOD.replace(ipv6=None), udp_probe=probe) == ("unknown", "not tried")


@pytest.mark.parametrize(
    ("facts", "obstacle", "config", "expected", "meaning"),
    [
        ({"rung": "associate"}, None, {}, ("good", "UDP ASSOCIATE"), "Datagrams pass: 9.9.9.9:53 answered."),
        (
            {"rung": "uot-v2"},
            "it says no",
            {},
            ("good", "over TCP, uot-v2"),
            "Datagrams pass inside a connection: 9.9.9.9:53 answered.",
        ),
        ({"rung": "none"}, "it says no", {}, ("bad", "none"), "Datagrams do not pass: it says no."),
        ({"rung": None}, "it says no", {}, ("unknown", "not known"), "It says no."),
        ({"rung": None}, None, {}, ("unknown", "not known"), "There was no time to find out."),
        (
            {"rung": None},
            None,
            {"udp_probe": None},
            ("unknown", "not tried"),
            'With udp_probe = "off" there is nobody to ask.',
        ),
        ({"rung": None}, None, {"udp": "off"}, ("note", "off"), 'The configuration says udp = "off".'),
    ],
)
def test_datagrams(
    facts: dict[str, Any],
    obstacle: str | None,
    config: dict[str, Any],
    expected: tuple[str, str],
    meaning: str,
) -> None:
    """How they pass, or why they do not."""
    shown = row("udp", GOOD.replace(**facts), ANSWERED, obstacle, **config)
    assert shown is not None
    assert (shown.verdict, shown.found, shown.meaning) == (*expected, meaning)


@pytest.mark.parametrize(
    ("facts", "config", "expected"),
    [
        ({}, {}, ("good", "where it says")),
        ({"names_relay": False}, {}, ("note", "at the server")),
        ({"relay_rule": "server"}, {}, ("note", "at the server")),
        ({"relay_rule": "port", "names_relay": False}, {}, ("note", "wants our port")),
        ({"names_relay": None}, {"udp_address": "relay.example"}, ("good", "as configured")),
        (
            {"relay_rule": "port", "names_relay": None},
            {"udp_address": "relay.example"},
            ("note", "wants our port"),
        ),
    ],
)
def test_where_the_relay_is(facts: dict[str, Any], config: dict[str, Any], expected: tuple[str, str]) -> None:
    """What was done about it."""
    assert words("udp-relay", GOOD.replace(**facts), **config) == expected


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("udp-answers", {"foreign_source": "port"}, ("note", "from another port")),
        ("udp-answers", {"foreign_source": "address"}, ("note", "from another host")),
        ("udp-senders", {"names_remote": False}, ("note", "not named")),
        ("udp-association", {"closes_control": True}, ("note", "closed at once")),
        ("udp-size", {"largest_datagram": 2038}, ("note", "2,038 octets")),
        ("udp-size", {"largest_datagram": None}, ("unknown", "not known")),
        ("udp-ipv6", {"udp_ipv6": False}, ("note", "no answer")),
    ],
)
def test_what_is_odd_about_datagrams(name: str, facts: dict[str, Any], expected: tuple[str, str]) -> None:
    """Each is a note, for it is heeded already."""
    assert words(name, GOOD.replace(**facts)) == expected


@pytest.mark.parametrize("rung", ["none", None])
def test_without_datagrams_there_is_no_more_to_say_of_them(rung: Any) -> None:
    """One row is enough."""
    names = [row.name for row in told(Profile(rung=rung)).rows]
    assert [name for name in names if name.startswith("udp")] == ["udp"]


@pytest.mark.parametrize(
    ("facts", "target", "config", "summary"),
    [
        ({}, REFUSED, {}, f"A connection was refused; datagrams pass. {HINT}"),
        ({}, SILENT, {}, f"Whether connections pass is not known; datagrams pass. {HINT}"),
        ({"rung": None}, SILENT, {}, f"Whether anything passes is not known. {HINT}"),
        ({"rung": None}, None, {}, "Whether anything passes is not known."),
        ({"rung": "none"}, ANSWERED, {}, "Connections pass; datagrams do not pass."),
        ({"rung": "gost"}, ANSWERED, {}, "Connections pass; datagrams pass over TCP."),
        ({"rung": None}, ANSWERED, {}, "Connections pass; whether datagrams pass is not known."),
        ({}, ANSWERED, {"udp": "off"}, "Connections pass; datagrams are switched off."),
    ],
)
def test_the_summary(
    facts: dict[str, Any], target: Trial | None, config: dict[str, Any], summary: str
) -> None:
    """For who reads no more."""
    assert told(GOOD.replace(**facts), target, **config).summary == summary


def _or_none(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


PROFILES = st.builds(
    Profile,
    methods=_or_none(("password",), ("password", "none"), ("none",), ("none", "password")),
    split=_or_none(True, False),
    semi_pipelined=_or_none(True, False),
    pipelined=_or_none(True, False),
    optimistic=_or_none(True, False),
    ipv6=_or_none("yes", "no-route", "unsupported", "fails"),
    rtt_ms=_or_none(0.1, 300.0),
    rung=_or_none("associate", "uot-v2", "uot-v1", "hev", "gost", "none"),
    relay_rule=_or_none("given", "server", "port"),
    names_relay=_or_none(True, False),
    foreign_source=_or_none("no", "port", "address"),
    closes_control=_or_none(True, False),
    names_remote=_or_none(True, False),
    largest_datagram=_or_none(17, 2038, 65_497),
    udp_ipv6=_or_none(True, False),
)


@given(
    profile=PROFILES,
    target=_or_none(ANSWERED, SILENT, REFUSED, GRANTED),
    obstacle=_or_none("it says {no}"),
    config=st.fixed_dictionaries(
        {
            "username": _or_none("ana"),
            "udp": st.sampled_from(["auto", "off", "hev"]),
            "udp_probe": _or_none(Endpoint("9.9.9.9", 53), Endpoint("192.0.2.53", 53)),
            "udp_address": _or_none("relay.example"),
        }
    ),
)
def test_whatever_is_found_has_words(
    profile: Profile, target: Trial | None, obstacle: str | None, config: dict[str, Any]
) -> None:
    """No row is without them, and no gap is left in any."""
    if config["udp_probe"] is None:  # then nobody is connected to, and nothing comes back
        assume(profile.rung is None and profile.ipv6 is None and target is None)
    assume(profile.rung != "none" or obstacle is not None)
    for shown in told(profile, target, obstacle, **config).rows:
        text = f"{shown.title} {shown.found} {shown.meaning}".replace("{no}", "no")
        assert "{" not in text
        assert "None" not in text
        assert shown.meaning.endswith(".")
        assert shown.found
