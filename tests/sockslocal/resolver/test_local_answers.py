import dns.flags
import dns.message
import dns.rcode
import pytest

from fakes.dns_tunnel import query
from sockslocal.config.model import Block
from sockslocal.resolver.local_answers import (
    Addresses,
    AskOthers,
    Blocked,
    EmptyZone,
    NoSuchName,
    Pointer,
    Treatment,
    nothing,
)
from sockslocal.resolver.names import to_wire
from sockslocal.resolver.wire import Query, parse_query

V4, V6 = bytes((192, 0, 2, 1)), bytes.fromhex("20010db8" + "00" * 11 + "01")
BOTH = Addresses((V4, V6), "here")


def asked(name: str = "www.example", rdtype: str = "A", rdclass: str = "IN") -> Query:
    """A client's question, with EDNS."""
    return parse_query(query(name, rdtype, rdclass=rdclass, use_edns=0).to_wire())


def reply(treatment: Treatment, question: Query) -> dns.message.Message:
    """What the client gets, as dnspython reads it."""
    answer = treatment.answer(question)
    assert answer is not None
    return dns.message.from_wire(answer.reply(question, stream=False))


def texts(treatment: Treatment, question: Query) -> list[str]:
    """The records of the answer section."""
    return [line for rrset in reply(treatment, question).answer for line in rrset.to_text().split("\n")]


def test_addresses_of_the_family_asked_for() -> None:
    """Both where any type will do."""
    assert texts(BOTH, asked()) == ["www.example. 60 IN A 192.0.2.1"]
    assert texts(BOTH, asked(rdtype="AAAA")) == ["www.example. 60 IN AAAA 2001:db8::1"]
    assert len(texts(BOTH, asked(rdtype="ANY"))) == 2


@pytest.mark.parametrize(("rdtype", "rdclass"), [("MX", "IN"), ("HTTPS", "IN"), ("A", "CH")])
def test_a_name_with_fixed_addresses_has_nothing_else(rdtype: str, rdclass: str) -> None:
    """NODATA, with a SOA record so that it may be kept (RFC 2308 §5)."""
    message = reply(BOTH, asked(rdtype=rdtype, rdclass=rdclass))
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    (soa,) = message.authority
    assert soa.to_text() == ("www.example. 60 IN SOA www.example. nobody.invalid. 1 3600 1200 604800 60")
    assert not message.flags & dns.flags.AD


def test_the_letter_case_of_the_question_is_echoed() -> None:
    """As of any other answer (checklist 27)."""
    message = reply(BOTH, asked("wWw.ExamplE"))
    assert message.question[0].name.to_text() == "wWw.ExamplE."
    assert message.answer[0].name.to_text() == "wWw.ExamplE."


def test_a_blocked_name_does_not_exist() -> None:
    """And who can read it is told why (RFC 8914 §4.16)."""
    message = reply(Blocked(to_wire("example"), "a list"), asked())
    assert (message.rcode(), message.answer) == (dns.rcode.NXDOMAIN, [])
    assert message.authority[0].name.to_text() == "example."
    (error,) = message.extended_errors()
    assert (error.code, error.text) == (15, "blocked by a list")


def test_a_blocked_name_leads_nowhere_by_choice() -> None:
    """0.0.0.0 and ::, and nothing of other types."""
    null = Blocked(to_wire("example"), "a list", (bytes(4), bytes(16)))
    assert texts(null, asked()) == ["www.example. 60 IN A 0.0.0.0"]
    assert texts(null, asked(rdtype="AAAA")) == ["www.example. 60 IN AAAA ::"]
    message = reply(null, asked(rdtype="HTTPS"))
    assert (message.rcode(), message.answer) == (dns.rcode.NOERROR, [])
    assert message.extended_errors()[0].code == 15


@pytest.mark.parametrize("rdtype", ["A", "TXT", "SOA", "DS", "ANY"])
def test_no_such_name_whatever_is_asked_for(rdtype: str) -> None:
    """The zone itself is denied too."""
    zone = NoSuchName(to_wire("onion"), "RFC 7686")
    for name in ("onion", "x.onion"):
        message = reply(zone, asked(name, rdtype))
        assert (message.rcode(), message.answer) == (dns.rcode.NXDOMAIN, [])
        assert message.authority[0].name.to_text() == "onion."


def test_an_empty_zone_has_nothing_but_itself() -> None:
    """RFC 6303 §3."""
    zone = EmptyZone(to_wire("home.arpa"), "RFC 8375")
    assert reply(zone, asked("x.home.arpa")).rcode() == dns.rcode.NXDOMAIN
    assert texts(zone, asked("home.arpa", "NS")) == ["home.arpa. 60 IN NS home.arpa."]
    assert len(texts(zone, asked("home.arpa", "SOA"))) == 1
    assert len(texts(zone, asked("home.arpa", "ANY"))) == 2
    message = reply(zone, asked("home.arpa"))
    assert (message.rcode(), message.answer, len(message.authority)) == (dns.rcode.NOERROR, [], 1)


def test_whether_an_empty_zone_is_signed_only_its_parent_knows() -> None:
    """Who validates needs the proof that it is not (RFC 8375 §4)."""
    zone = EmptyZone(to_wire("home.arpa"), "RFC 8375")
    assert zone.answer(asked("home.arpa", "DS")) is None
    assert reply(zone, asked("x.home.arpa", "DS")).rcode() == dns.rcode.NXDOMAIN


def test_the_name_of_an_address() -> None:
    """One PTR record, and nothing of other types."""
    pointer = Pointer(to_wire("localhost"), "here")
    name = "1.0.0.127.in-addr.arpa"
    assert texts(pointer, asked(name, "PTR")) == [f"{name}. 60 IN PTR localhost."]
    assert texts(pointer, asked(name)) == []


def test_others_are_asked_where_a_rule_says_so() -> None:
    """There is no answer here."""
    assert AskOthers(Block()).answer(asked()) is None


def test_where_an_answer_is_from() -> None:
    """It is told, and that nobody was asked."""
    answer = nothing(asked(), "filter_aaaa", to_wire("example"))
    assert (answer.upstream, answer.path, answer.lifetime) == ("filter_aaaa", "local", 0)
