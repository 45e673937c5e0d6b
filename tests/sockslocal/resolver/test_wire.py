import contextlib
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockslocal.resolver import wire

labels = st.binary(min_size=1, max_size=63)
names = st.lists(labels, max_size=8).filter(lambda parts: sum(map(len, parts)) + len(parts) < wire.MAX_NAME)
types = st.integers(0, 65_535)


def encoded_name(parts: list[bytes]) -> bytes:
    """`parts` as labels on the wire."""
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def make(name: str = "www.example", rdtype: str = "A", **options: Any) -> dns.message.Message:
    """A query as dnspython makes it."""
    return dns.message.make_query(name, rdtype, **options)


def refusal(message: bytes) -> bytes | None:
    """What the sender of a message that is no query is told."""
    with pytest.raises(wire.Refused) as refused:
        wire.parse_query(message)
    return refused.value.reply


def parsed_refusal(message: bytes) -> dns.message.Message:
    """The same, read by dnspython."""
    reply = refusal(message)
    assert reply is not None
    return dns.message.from_wire(reply)


@given(
    parts=names,
    rdtype=types,
    rdclass=types,
    number=st.integers(0, 65_535),
    flags=st.tuples(*[st.booleans()] * 3),
    edns=st.none() | st.tuples(st.integers(0, 65_535), st.booleans(), st.binary(max_size=40)),
)
def test_a_query_is_read_as_dnspython_reads_it(
    *,
    parts: list[bytes],
    rdtype: int,
    rdclass: int,
    number: int,
    flags: tuple[bool, bool, bool],
    edns: tuple[int, bool, bytes] | None,
) -> None:
    """Question, flags and EDNS of any well-formed query come out as another implementation put them in."""
    recursion, disabled, wants_ad = flags
    bits = recursion * dns.flags.RD | disabled * dns.flags.CD | wants_ad * dns.flags.AD
    head = b"".join(value.to_bytes(2, "big") for value in (number, bits, 1, 0, 0, int(edns is not None)))
    question = encoded_name(parts) + rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big")
    opt = b""
    if edns is not None:
        size, dnssec_ok, data = edns
        option = b"\xfd\xe9" + len(data).to_bytes(2, "big") + data
        opt = b"\0\0\x29" + size.to_bytes(2, "big") + bytes((0, 0, 0x80 * dnssec_ok, 0))
        opt += len(option).to_bytes(2, "big") + option
    message = head + question + opt
    query = wire.parse_query(message)
    other = dns.message.from_wire(message)
    assert query.id == message[:2]
    assert query.question == question
    assert query.rdtype == other.question[0].rdtype
    assert dns.name.from_wire(query.name, 0)[0] == other.question[0].name
    assert query.profile.recursion == recursion
    assert query.profile.checking_disabled == disabled
    assert query.profile.dnssec_ok == bool(other.ednsflags & dns.flags.DO)
    assert bool(query.profile.opt) == (other.edns == 0)
    expected = wire.PLAIN_UDP if edns is None else min(max(edns[0], wire.PLAIN_UDP), wire.UDP_PAYLOAD)
    assert query.profile.limit == expected


@given(message=st.binary(max_size=600))
@example(message=b"\0\0\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0")
@example(message=b"\0\0\1\0\0\1\0\0\0\0\0\0\x40a\0\0\1\0\1")
@example(message=b"\0\0\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\x80\0\0\x29")
@example(message=b"\0\0\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\3abc")
def test_garbage_is_refused_and_nothing_else(message: bytes) -> None:
    """Invariant: any octets are either a query or refused; no other exception leaves the parser."""
    with contextlib.suppress(wire.Refused):
        assert message[12:].startswith(wire.parse_query(message).question)


@given(data=st.data())
def test_a_damaged_query_is_accepted_only_if_dnspython_accepts_it(data: st.DataObject) -> None:
    """Octets changed or cut off at random never make us read more into a message than another parser does."""
    message = bytearray(make(use_edns=0, options=[dns.edns.CookieOption(b"12345678", b"")]).to_wire())
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    octets = bytes(message[: data.draw(st.integers(0, len(message)))])
    try:
        query = wire.parse_query(octets)
    except wire.Refused:
        return
    try:
        other = dns.message.from_wire(octets, keyring=False)
    except dns.exception.DNSException:
        assert wire.parse_profile(
            octets[2:12], octets[12 + len(query.question) :]
        )  # an option it cannot read
    else:
        assert other.question[0].rdtype == query.rdtype


def test_less_than_a_header_is_ignored() -> None:
    """Eleven octets are no message (checklist 21)."""
    assert refusal(make().to_wire()[:11]) is None


@pytest.mark.parametrize("count", [0, 2])
def test_other_than_one_question_is_a_format_error(count: int) -> None:
    """QDCOUNT 0 and 2 are told FORMERR (checklist 21; RFC 9619)."""
    message = bytearray(make().to_wire())
    message[5] = count
    assert parsed_refusal(bytes(message)).rcode() == dns.rcode.FORMERR


def test_responses_are_never_answered() -> None:
    """QR=1 is met with silence: two servers must not talk each other to death (checklist 22)."""
    assert refusal(dns.message.make_response(make()).to_wire()) is None


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_unknown_opcodes_are_not_implemented(opcode: int) -> None:
    """NOTIMP repeats id, opcode and RD (checklist 23)."""
    message = bytearray(make().to_wire())
    message[2] |= opcode << 3
    reply = refusal(bytes(message))
    assert reply is not None
    assert reply[:2] == message[:2]
    assert reply[2] == 0x80 | opcode << 3 | 1
    assert reply[3:] == bytes((dns.rcode.NOTIMP, 0, 0, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(b"\xc0\x0c\0\1\0\1", id="pointer to itself"),
        pytest.param(b"\xc0\x20\0\1\0\1", id="pointer ahead"),
        pytest.param(b"\x40" + b"a" * 64 + b"\0\0\1\0\1", id="label of 64"),
        pytest.param(b"\xbf" + b"a" * 191 + b"\0\0\1\0\1", id="label of 191"),
        pytest.param((b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", id="name of 257"),
        pytest.param(b"\3www", id="name cut short"),
        pytest.param(b"\3www\0\0\1", id="class missing"),
    ],
)
def test_bad_names_are_format_errors(question: bytes) -> None:
    """Compression, long labels and long names in a question cost that message only (checklist 24)."""
    reply = refusal(b"\0\7\1\0\0\1\0\0\0\0\0\0" + question)
    assert reply is not None
    assert reply[3] == dns.rcode.FORMERR


@pytest.mark.parametrize(
    ("flags", "questions", "asks"), [(0x01, 1, True), (0x28, 1, True), (0x81, 1, False), (0x01, 2, False)]
)
def test_what_begins_like_a_query(flags: int, questions: int, *, asks: bool) -> None:
    """A request of any opcode, with one question."""
    assert wire.asks_one_question(bytes((0, 7, flags, 0, 0, questions)) + bytes(6)) == asks


def test_a_name_of_255_octets_is_taken() -> None:
    """The longest name there is (RFC 1035 §2.3.4)."""
    question = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0\0\1\0\1"
    assert wire.parse_query(b"\0\7\1\0\0\1\0\0\0\0\0\0" + question).question == question


@pytest.mark.parametrize("rdtype", [1, 6])
def test_records_in_the_answer_section_are_format_errors(rdtype: int) -> None:
    """A query has no answer; there is no reason to pass it on."""
    message = bytearray(make().to_wire())
    message[7] = 1
    record = b"\0" + rdtype.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0"
    assert parsed_refusal(bytes(message) + record).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize(("rdtype", "count"), [(1, 1), (41, 1), (6, 2), (6, 256)])
def test_records_in_the_authority_section_are_format_errors(rdtype: int, count: int) -> None:
    """There is one at most, and that a SOA."""
    message = bytearray(make().to_wire())
    message[8:10] = count.to_bytes(2, "big")
    record = b"\0" + rdtype.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0"
    assert parsed_refusal(bytes(message) + record * count).rcode() == dns.rcode.FORMERR


def test_a_serial_in_the_authority_section_is_none() -> None:
    """Who asks for changes says since when (RFC 1995 §3); OPT is found behind it."""
    message = dns.message.make_query("example", "IXFR", use_edns=0, payload=1000)
    serial = "ns.example. admin.example. 7 1 1 1 1"
    message.authority.append(dns.rrset.from_text("example.", 0, "IN", "SOA", serial))
    query = wire.parse_query(message.to_wire())
    assert query.rdtype == dns.rdatatype.IXFR
    assert query.profile.limit == 1000


OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("count", "additional"),
    [
        pytest.param(2, OPT + OPT, id="two OPT"),
        pytest.param(1, b"\1a" + OPT, id="OPT of a name"),
        pytest.param(1, OPT[:-2] + b"\0\4\0\1", id="RDLENGTH past the end"),
        pytest.param(1, OPT[:-2] + b"\0\3\0\1\0", id="half an option"),
        pytest.param(1, OPT[:-2] + b"\0\4\0\1\0\1", id="option past its record"),
        pytest.param(1, OPT + b"\0", id="octets after the last record"),
        pytest.param(2, OPT, id="fewer records than said"),
        pytest.param(1, b"\x80\0" + OPT, id="unknown label type"),
        pytest.param(1, b"\3ab", id="name cut short"),
    ],
)
def test_bad_additional_records_are_format_errors(count: int, additional: bytes) -> None:
    """Two OPT records, one not of the root, or lengths that do not fit (checklist 25, 49)."""
    reply = refusal(b"\0\7\1\0\0\1\0\0\0\0\0" + bytes((count,)) + b"\1a\0\0\1\0\1" + additional)
    assert reply is not None
    assert reply[3] == dns.rcode.FORMERR


def test_records_besides_opt_are_skipped() -> None:
    """A record that we have no use for, even with a compressed name, spoils nothing."""
    message = b"\0\7\1\0\0\1\0\0\0\0\0\2\1a\0\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\0" + OPT
    assert wire.parse_query(message).profile.opt == wire.opt_record(dnssec_ok=False)


def test_a_query_longer_than_any_can_be_is_a_format_error() -> None:
    """More than 4 KiB of query are not even looked at."""
    assert parsed_refusal(make().to_wire() + bytes(wire.MAX_QUERY)).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("version", [1, 255])
def test_unknown_edns_versions_are_told_ours(version: int) -> None:
    """BADVERS with version 0 and the question (checklist 50)."""
    message = bytearray(make(use_edns=0).to_wire())
    message[-5] = version
    reply = parsed_refusal(bytes(message))
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.edns == 0
    assert reply.question == make().question


def test_unknown_edns_flags_and_options_are_ignored() -> None:
    """Their reply has flags of zero and no options (checklist 51)."""
    query = make(use_edns=0, ednsflags=0x7FFF, options=[dns.edns.GenericOption("4711", b"x")])
    assert wire.parse_query(query.to_wire()).profile.opt == wire.opt_record(dnssec_ok=False)


def test_no_opt_in_the_query_means_none_in_the_reply() -> None:
    """And 512 octets at most (checklist 47)."""
    profile = wire.parse_query(make().to_wire()).profile
    assert (profile.opt, profile.limit) == (b"", 512)


@pytest.mark.parametrize(("size", "limit"), [(0, 512), (511, 512), (900, 900), (1232, 1232), (4096, 1232)])
def test_the_size_a_client_takes_is_bounded_both_ways(size: int, limit: int) -> None:
    """Less than 512 counts as 512, and more than 1232 is never sent (checklist 48)."""
    assert wire.parse_query(make(use_edns=0, payload=size).to_wire()).profile.limit == limit


def test_do_and_cd_are_part_of_the_key() -> None:
    """The four combinations never share an answer (checklist 53)."""
    keys = set()
    for dnssec in (False, True):
        for flags in (dns.flags.RD, dns.flags.RD | dns.flags.CD):
            message = make(use_edns=0, want_dnssec=dnssec, flags=flags).to_wire()
            keys.add(wire.parse_query(message).key)
    assert len(keys) == 4


def test_edns_itself_is_not_part_of_the_key() -> None:
    """Size, cookies and other options are between the client and us."""
    plain = wire.parse_query(make().to_wire())
    cookie = wire.parse_query(make(use_edns=0, options=[dns.edns.CookieOption(b"12345678", b"")]).to_wire())
    assert plain.key == cookie.key


def test_names_are_equal_in_any_case() -> None:
    """The key ignores case in the name only: types 65 and 97 differ as `A` and `a` do (checklist 27)."""
    lower, upper = (make(name, "HTTPS").to_wire() for name in ("www.example", "WWW.EXAMPLE"))
    assert wire.parse_query(lower).key == wire.parse_query(upper).key
    assert wire.parse_query(make(rdtype="TYPE97").to_wire()).key != wire.parse_query(lower).key


@given(first=st.tuples(names, types, types), second=st.tuples(names, types, types))
@example(first=([b"a.b"], 1, 1), second=([b"a", b"b"], 1, 1))
@example(first=([b"a\0\0\1\0\1"], 1, 1), second=([b"a"], 1, 1))
@example(first=([b"a"], 1, 1), second=([b"a"], 1, 0x0101))
def test_keys_of_different_questions_never_collide(
    first: tuple[list[bytes], int, int], second: tuple[list[bytes], int, int]
) -> None:
    """Dots, zero octets and lengths inside labels cannot make two questions one (checklist 28)."""
    queries = []
    for parts, rdtype, rdclass in (first, second):
        tail = rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big")
        queries.append(wire.parse_query(b"\0\7\1\0\0\1\0\0\0\0\0\0" + encoded_name(parts) + tail))
    one, other = queries
    same_name = [part.lower() for part in first[0]] == [part.lower() for part in second[0]]
    assert (one.key == other.key) == (same_name and first[1:] == second[1:])
    assert (one.name_key == other.name_key) == (same_name and first[2] == second[2])
    assert one.key != other.name_key
    assert len(one.name_key) > one.name_key.index(0) + 6  # so many octets at most are looked up unread


@pytest.mark.parametrize("dnssec_ok", [False, True])
@pytest.mark.parametrize("checking_disabled", [False, True])
@pytest.mark.parametrize("edns", [False, True])
def test_our_own_query_is_what_dnspython_would_send(
    *,
    dnssec_ok: bool,
    checking_disabled: bool,
    edns: bool,
) -> None:
    """RD and AD set, CD and DO as given, 1232 octets advertised."""
    question = make("www.example", "MX").to_wire()[12:]
    message = dns.message.from_wire(
        wire.encode_query(question, dnssec_ok=dnssec_ok, checking_disabled=checking_disabled, edns=edns)
    )
    assert message.id == 0
    assert message.question == make("www.example", "MX").question
    assert bool(message.flags & dns.flags.CD) == checking_disabled
    assert message.flags & (dns.flags.RD | dns.flags.AD | dns.flags.QR) == dns.flags.RD | dns.flags.AD
    assert (message.edns, message.payload) == ((0, 1232) if edns else (-1, 0))
    assert bool(message.ednsflags & dns.flags.DO) == (dnssec_ok and edns)


def test_an_extended_error_is_read_by_dnspython() -> None:
    """Code and text arrive (RFC 8914)."""
    option = wire.extended_error(22, "nobody there")
    opt = wire.opt_record(dnssec_ok=True, options=option)
    message = dns.message.from_wire(b"\0\7\x81\x82\0\0\0\0\0\0\0\1" + opt)
    (error,) = message.extended_errors()
    assert (error.code, error.text) == (22, "nobody there")


@given(parts=names, noise=st.binary(min_size=wire.MAX_NAME, max_size=wire.MAX_NAME))
def test_mixing_the_case_changes_nothing_else(parts: list[bytes], noise: bytes) -> None:
    """The name stays the same name, and type and class stay what they are."""
    question = encoded_name(parts) + b"\0A\0a"
    mixed = wire.mix_case(question, noise[: len(question) - 4])
    assert mixed.lower() == question.lower()
    assert mixed[-4:] == question[-4:]


def test_each_letter_has_a_case_of_its_own() -> None:
    """Noise decides letter by letter (0x20)."""
    question = b"\4abCd\0\0\1\0\1"
    assert wire.mix_case(question, b"\xff\xff\0\xff\0\xff") == b"\4Abcd\0\0\1\0\1"
    assert wire.mix_case(question, bytes(6)) == question


QUESTION = b"\3www\7example\0\0\1\0\1"
RESPONSE = b"\0\7\x81\x80\0\1\0\0\0\0\0\0" + QUESTION


@pytest.mark.parametrize(
    ("message", "exact", "accepted"),
    [
        pytest.param(RESPONSE, True, True, id="same"),
        pytest.param(RESPONSE.replace(b"www", b"wWw"), True, False, id="other case, exact"),
        pytest.param(RESPONSE.replace(b"www", b"wWw"), False, True, id="other case"),
        pytest.param(RESPONSE.replace(b"www", b"wwx"), False, False, id="other name"),
        pytest.param(RESPONSE[:-3] + b"\2\0\1", False, False, id="other type"),
        pytest.param(RESPONSE[:-1], False, False, id="cut short"),
        pytest.param(RESPONSE[:2] + b"\1" + RESPONSE[3:], True, False, id="a query"),
        pytest.param(RESPONSE[:2] + b"\x89" + RESPONSE[3:], True, False, id="other opcode"),
        pytest.param(RESPONSE[:5] + b"\2" + RESPONSE[6:], True, False, id="two questions"),
        pytest.param(b"", True, False, id="empty"),
    ],
)
def test_a_response_answers_only_its_question(
    *,
    message: bytes,
    exact: bool,
    accepted: bool,
) -> None:
    """QR, opcode, count and question must fit (checklist 67)."""
    assert wire.answers(message, QUESTION, exact=exact) is accepted


def test_records_of_all_sections_are_counted() -> None:
    """By the header alone."""
    assert wire.record_count(b"\0\0\x81\x80\0\1" + b"\1\0" + b"\0\2" + b"\0\3") == 261


@pytest.mark.parametrize(
    ("message", "bare"),
    [
        (b"\0\7\x81\1\0\0\0\0\0\0\0\0", True),
        (b"\0\7\x81\0\0\0\0\0\0\0\0\0", False),
        (b"\0\7\1\1\0\0\0\0\0\0\0\0", False),
        (b"\0\7\x81\1\0\1\0\0\0\0\0\0", False),
        (b"\0\7\x81\1\0\0\0\0\0\0\0", False),
        (RESPONSE, False),
    ],
)
def test_a_bare_error_is_a_header_with_a_code(*, message: bytes, bare: bool) -> None:
    """Old servers answer what they do not understand so."""
    assert wire.is_bare_error(message) is bare


def test_header_bits_are_read() -> None:
    """TC, AD, the code, and whether there are records."""
    message = b"\0\7\x83\xa5\0\1\0\0\0\0\0\1"
    assert wire.is_truncated(message)
    assert not wire.is_truncated(RESPONSE)
    assert wire.is_authentic(message)
    assert not wire.is_authentic(RESPONSE)
    assert wire.rcode(message) == dns.rcode.REFUSED
    assert wire.has_records(message)
    assert not wire.has_records(RESPONSE)


def test_codes_are_those_of_the_registry() -> None:
    """Our numbers are dnspython's."""
    assert (wire.NOERROR, wire.FORMERR, wire.SERVFAIL, wire.NXDOMAIN) == (
        dns.rcode.NOERROR,
        dns.rcode.FORMERR,
        dns.rcode.SERVFAIL,
        dns.rcode.NXDOMAIN,
    )
    assert (wire.NOTIMP, wire.REFUSED, wire.YXDOMAIN, wire.BADVERS) == (
        dns.rcode.NOTIMP,
        dns.rcode.REFUSED,
        dns.rcode.YXDOMAIN,
        dns.rcode.BADVERS,
    )
    assert dns.rdatatype.OPT == wire.OPT


def test_a_refusal_has_an_opt_record_where_the_query_has_one() -> None:
    """Whatever else is wrong with the query (RFC 6891 §7)."""
    update = bytearray(make(use_edns=0).to_wire())
    update[2] |= 5 << 3
    no_question = bytes(4) + bytes(7) + b"\1" + wire.opt_record(dnssec_ok=True)
    for message, rcode in ((bytes(update), wire.NOTIMP), (no_question, wire.FORMERR)):
        reply = parsed_refusal(message)
        assert (reply.rcode(), reply.edns, reply.payload) == (rcode, 0, wire.UDP_PAYLOAD)
        assert not reply.ednsflags


def test_a_refusal_has_no_opt_record_where_none_can_be_found() -> None:
    """Not where the rest cannot be read, nor in what is too long to look at, nor where there is none."""
    twice = bytearray(make(use_edns=0).to_wire())
    twice[5] = 2
    padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(600))
    padded = make(use_edns=0, options=[padding]).to_wire()
    cut = make(use_edns=0).to_wire()[:-1]
    for message in (make().to_wire() + b"x", bytes(twice), padded + b"x", cut):
        reply = parsed_refusal(message)
        assert (reply.rcode(), reply.edns) == (wire.FORMERR, -1)
