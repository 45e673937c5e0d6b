from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from sockslocal.resolver import wire
from sockslocal.resolver.answer import MAX_ERROR_TEXT, Answer, cached_failure, failure, stale
from sockslocal.resolver.wire import Query, parse_query

RECORD = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1"
ADDRESS = Answer(rcode=wire.NOERROR, counts=(1, 0, 0), body=RECORD, ttls=((6, 300),), lifetime=300)


def query(**options: Any) -> Query:
    """A question for an address."""
    return parse_query(dns.message.make_query("www.example", "A", **options).to_wire())


def test_a_reply_is_a_whole_message() -> None:
    """Dnspython reads what we joined, aged by the seconds that have passed."""
    reply = dns.message.from_wire(ADDRESS.reply(query(), stream=False, age=100))
    assert [rrset.to_text() for rrset in reply.answer] == ["www.example. 200 IN A 192.0.2.1"]
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA


def test_an_answer_larger_than_the_client_takes_is_empty_with_tc() -> None:
    """Over UDP the question, OPT and TC; the client comes again by TCP (RFC 2181 §9)."""
    large = Answer(rcode=wire.NOERROR, counts=(40, 0, 0), body=RECORD * 40)
    for options, edns in (({}, -1), ({"use_edns": 0, "payload": 600}, 0)):
        reply = dns.message.from_wire(large.reply(query(**options), stream=False))
        assert reply.flags & dns.flags.TC
        assert (len(reply.answer), reply.edns) == (0, edns)
        assert reply.question[0].name.to_text() == "www.example."


@pytest.mark.parametrize("room", [0, 1])
def test_the_limit_is_exact(room: int) -> None:
    """The last octet still fits; OPT counts as well."""
    asked = query(use_edns=0, payload=600)
    rest = 600 - wire.HEADER - len(asked.question) - len(asked.profile.opt)
    answer = Answer(rcode=wire.NOERROR, body=bytes(rest + room))
    assert bool(answer.reply(asked, stream=False)[2] & 2) == bool(room)


def test_nothing_is_too_large_for_tcp() -> None:
    """The same answer, whole."""
    large = Answer(rcode=wire.NOERROR, counts=(40, 0, 0), body=RECORD * 40)
    reply = dns.message.from_wire(large.reply(query(), stream=True), one_rr_per_rrset=True)
    assert len(reply.answer) == 40
    assert not reply.flags & dns.flags.TC


def test_our_own_failure_says_why_to_who_can_read_it() -> None:
    """An extended error where there is EDNS (checklist 55), a plain SERVFAIL where there is none."""
    silence = failure(wire.SERVFAIL, 22, "nobody there")
    reply = dns.message.from_wire(silence.reply(query(use_edns=0, want_dnssec=True), stream=False))
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert [(error.code, error.text) for error in reply.extended_errors()] == [(22, "nobody there")]
    assert reply.ednsflags & dns.flags.DO
    plain = dns.message.from_wire(silence.reply(query(), stream=False))
    assert (plain.rcode(), plain.edns) == (dns.rcode.SERVFAIL, -1)


def test_a_long_reason_is_cut() -> None:
    """It must fit into a reply over UDP."""
    error = failure(wire.SERVFAIL, 22, "é" * 1000).error
    assert error is not None
    assert len(error[1]) == MAX_ERROR_TEXT


@pytest.mark.parametrize(
    ("rcode", "definitive"),
    [
        (wire.NOERROR, True),
        (wire.NXDOMAIN, True),
        (wire.YXDOMAIN, True),
        (wire.SERVFAIL, False),
        (wire.REFUSED, False),
    ],
)
def test_which_codes_answer_a_question(*, rcode: int, definitive: bool) -> None:
    """The others are failures of whoever told them."""
    assert Answer(rcode=rcode).definitive is definitive


def test_cd_is_echoed_and_ad_only_told_to_who_asks() -> None:
    """RFC 4035 §3.2.2, RFC 6840 §5.8."""
    vouched = Answer(rcode=wire.NOERROR, authentic=True)
    flags = {
        "plain": dns.flags.RD,
        "cd": dns.flags.RD | dns.flags.CD,
        "ad": dns.flags.RD | dns.flags.AD,
    }
    got = {
        name: dns.message.from_wire(vouched.reply(query(flags=bits), stream=False)).flags
        for name, bits in flags.items()
    }
    plain = dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert got == {"plain": plain, "cd": plain | dns.flags.CD, "ad": plain | dns.flags.AD}
    dnssec = vouched.reply(query(use_edns=0, want_dnssec=True), stream=False)
    assert dns.message.from_wire(dnssec).flags & dns.flags.AD


@pytest.mark.parametrize(("rcode", "code"), [(wire.NOERROR, 3), (wire.NXDOMAIN, 19)])
def test_what_is_stale_has_one_ttl_and_says_so(rcode: int, code: int) -> None:
    """Whatever its age; nobody vouches for it any more (RFC 8767 §4, RFC 8914 §4.4, §4.20)."""
    vouched = Answer(
        rcode=rcode, authentic=True, counts=(1, 0, 0), body=RECORD, ttls=((6, 300),), lifetime=300
    )
    old = stale(vouched, 30)
    reply = dns.message.from_wire(old.reply(query(use_edns=0, want_dnssec=True), stream=False, age=1000))
    assert [rrset.to_text() for rrset in reply.answer] == ["www.example. 30 IN A 192.0.2.1"]
    assert not reply.flags & dns.flags.AD
    assert [error.code for error in reply.extended_errors()] == [code]
    assert (reply.rcode(), old.lifetime) == (rcode, 300)
    assert [answer.is_stale for answer in (old, vouched, failure(rcode, 15, "ours"))] == [True, False, False]


@pytest.mark.parametrize("error", [(22, "silence"), None])
def test_a_failure_told_again_has_the_reason_of_then(error: tuple[int, str] | None) -> None:
    """It says that nobody was asked (RFC 8914 §4.14)."""
    again = cached_failure(Answer(rcode=wire.SERVFAIL, error=error))
    (told,) = dns.message.from_wire(again.reply(query(use_edns=0), stream=False)).extended_errors()
    assert (told.code, told.text) == (13, error[1] if error else "it could not be answered a moment ago")


@pytest.mark.parametrize(("room", "told"), [(80, 1), (10, 0)])
def test_a_reason_that_does_not_fit_is_left_out(room: int, told: int) -> None:
    """Rather than the answer (RFC 8914 §3)."""
    asked = query(use_edns=0, payload=600)
    record = b"\xc0\x0c\xff\0\0\1\0\0\0\x1e"
    length = 600 - wire.HEADER - len(asked.question) - len(asked.profile.opt) - len(record) - 2 - room
    body = record + length.to_bytes(2, "big") + bytes(length)
    old = stale(Answer(rcode=wire.NOERROR, counts=(1, 0, 0), body=body, ttls=((6, 300),), lifetime=300), 30)
    reply = dns.message.from_wire(old.reply(asked, stream=False))
    assert not reply.flags & dns.flags.TC
    assert (len(reply.answer), reply.edns, len(reply.extended_errors())) == (1, 0, told)
