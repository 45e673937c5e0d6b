import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.resolver import wire
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digest import MAX_CHAIN, MAX_NEGATIVE_TTL, MAX_RECORDS, MAX_TTL, digest
from sockslocal.resolver.errors import UnusableError
from sockslocal.resolver.records import Reader

SIGNATURE = "{} 13 2 300 20300101000000 20200101000000 1 example. AAAA"
SOA = "ns.example. admin.example. 1 7200 900 1209600 {minimum}"


def response(name: str = "www.example", rdtype: str = "A", rcode: str = "NOERROR") -> dns.message.Message:
    """A response without records."""
    message = dns.message.make_response(
        dns.message.make_query(name, rdtype, want_dnssec=True), our_payload=1232
    )
    message.set_rcode(dns.rcode.from_text(rcode))
    return message


def rrset(name: str, rdtype: str, *data: str, ttl: int = 300) -> dns.rrset.RRset:
    """Records of one name and type."""
    return dns.rrset.from_text(name + ".", ttl, "IN", rdtype, *data)


def soa(zone: str = "example", ttl: int = 60, minimum: int = 600) -> dns.rrset.RRset:
    """The SOA record of a denial."""
    return rrset(zone, "SOA", SOA.format(minimum=minimum), ttl=ttl)


def digested(message: dns.message.Message) -> Answer:
    """What is kept of `message`."""
    return digest(message.to_wire(max_size=65_535), upstream="udp://192.0.2.53:53", path="udp")


def served(message: dns.message.Message) -> dns.message.Message:
    """What a client gets of `message`."""
    query = dns.message.make_query(message.question[0].name, message.question[0].rdtype)
    octets = digested(message).reply(wire.parse_query(query.to_wire()), stream=True)
    return dns.message.from_wire(octets)


def texts(section: list[dns.rrset.RRset]) -> list[str]:
    """The records of a section, a line each."""
    return [line for records in section for line in records.to_text().splitlines()]


def test_an_answer_keeps_its_records() -> None:
    """All three sections, and where it came from; the lowest TTL is its lifetime."""
    message = response(rdtype="MX")
    message.answer.append(rrset("www.example", "MX", "10 mail.example."))
    message.authority.append(rrset("a.example", "NSEC", "z.example. A", ttl=200))
    message.authority.append(rrset("a.example", "RRSIG", SIGNATURE.format("NSEC"), ttl=200))
    message.additional.append(rrset("mail.example", "A", "192.0.2.1", ttl=100))
    answer = digested(message)
    assert (answer.rcode, answer.lifetime, answer.counts) == (wire.NOERROR, 100, (1, 2, 1))
    assert (answer.upstream, answer.path) == ("udp://192.0.2.53:53", "udp")
    got = served(message)
    for section in ("answer", "authority", "additional"):
        assert texts(getattr(got, section)) == texts(getattr(message, section))


@pytest.mark.parametrize("rcode", ["NOERROR", "NXDOMAIN"])
def test_what_is_truncated_is_no_answer(rcode: str) -> None:
    """Part of an RRset must not be taken for all of it (RFC 2181 §9, checklist 32)."""
    message = response(rcode=rcode)
    message.answer.append(rrset("www.example", "A", "192.0.2.1"))
    message.flags |= dns.flags.TC
    with pytest.raises(UnusableError, match="truncated"):
        digested(message)


def test_opt_is_not_part_of_the_answer() -> None:
    """It is between us and the upstream (checklist 46)."""
    message = response()
    message.answer.append(rrset("www.example", "A", "192.0.2.1"))
    assert message.edns == 0
    assert (served(message).edns, digested(message).counts) == (-1, (1, 0, 0))


def test_unknown_types_pass_unchanged() -> None:
    """Octets of a type nobody knows are not touched (checklist 26; RFC 3597)."""
    message = response(rdtype="TYPE4711")
    message.answer.append(rrset("www.example", "TYPE4711", r"\# 4 C00C0001"))
    assert texts(served(message).answer) == [r"www.example. 300 IN TYPE4711 \# 4 c00c0001"]


def raw(records: bytes, count: int) -> bytes:
    """A response of octets, for what dnspython would not write."""
    return b"\0\0\x81\x80\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0\3www\7example\0\0\1\0\1" + records


def address(last: int, ttl: int) -> bytes:
    """An A record of the question's name."""
    return b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4, "big") + b"\0\4\xc0\0\2" + bytes((last,))


def test_ttls_within_an_rrset_become_equal() -> None:
    """To the lowest of them (checklist 29)."""
    answer = digest(raw(address(1, 300) + address(2, 20) + address(3, 100), 3), upstream="", path="")
    assert [ttl for _, ttl in answer.ttls] == [20, 20, 20]


def test_a_ttl_with_the_highest_bit_is_zero() -> None:
    """RFC 2181 §8, and so not kept (checklist 31)."""
    answer = digest(raw(address(1, 0x80000001), 1), upstream="", path="")
    assert (answer.ttls[0][1], answer.lifetime) == (0, 0)


def test_ttls_are_capped() -> None:
    """At a day."""
    message = response()
    message.answer.append(rrset("www.example", "A", "192.0.2.1", ttl=1_000_000))
    answer = digested(message)
    assert (answer.ttls[0][1], answer.lifetime) == (MAX_TTL, MAX_TTL)


def test_only_the_questions_chain_is_answered() -> None:
    """Records of other names, classes and types in the answer section are left out (checklist 33)."""
    message = response()
    message.answer += [
        rrset("www.example", "CNAME", "a.example."),
        rrset("a.example", "CNAME", "b.other."),
        rrset("b.other", "A", "192.0.2.1"),
        rrset("bank.example", "A", "203.0.113.66"),
        rrset("www.example", "TXT", '"x"'),
        dns.rrset.from_text("b.other.", 300, "CH", "A", "other. 1"),
    ]
    assert texts(served(message).answer) == [
        "www.example. 300 IN CNAME a.example.",
        "a.example. 300 IN CNAME b.other.",
        "b.other. 300 IN A 192.0.2.1",
    ]


def test_the_names_of_a_chain_are_known() -> None:
    """In lower case, without that of the question; other CNAMEs are none of it."""
    message = response()
    message.answer += [
        rrset("www.example", "CNAME", "A.example."),
        rrset("a.example", "CNAME", "b.OTHER."),
        rrset("c.example", "CNAME", "d.example."),
        rrset("b.other", "A", "192.0.2.1"),
    ]
    assert digested(message).aliases == b"\1a\7example\0\1b\5other\0"
    plain = response()
    plain.answer.append(rrset("www.example", "A", "192.0.2.1"))
    assert digested(plain).aliases == b""


def test_records_about_the_message_are_left_out() -> None:
    """TSIG and SIG(0) are between us and the upstream, as OPT is (checklist 46)."""
    tail = b"\0\0\0\0\0\x13" + bytes(19)
    octets = bytearray(raw(address(1, 300) + b"\0\0\xfa\0\xff" + tail + b"\0\0\x18\0\xff" + tail, 1))
    octets[11] = 2
    assert digest(bytes(octets), upstream="", path="").counts == (1, 0, 0)


def test_signatures_of_the_chain_stay() -> None:
    """Those of what was left out go with it."""
    signature = "{} 8 2 300 20300101000000 20250101000000 1 example. AAAA"
    message = response()
    message.answer += [
        rrset("www.example", "CNAME", "a.example."),
        rrset("www.example", "RRSIG", signature.format("CNAME")),
        rrset("a.example", "A", "192.0.2.1"),
        rrset("a.example", "RRSIG", signature.format("A")),
        rrset("a.example", "RRSIG", signature.format("TXT")),
        rrset("bank.example", "RRSIG", signature.format("A")),
    ]
    covered = [(records.name.to_text(), records.covers) for records in served(message).answer]
    assert [(name, dns.rdatatype.to_text(covers)) for name, covers in covered if covers] == [
        ("www.example.", "CNAME"),
        ("a.example.", "A"),
    ]


def test_a_dname_of_the_chain_stays() -> None:
    """The CNAME that comes with it was made from it (RFC 6672 §3.1)."""
    message = response("a.old.example")
    message.answer += [
        rrset("old.example", "DNAME", "new.example."),
        rrset("a.old.example", "CNAME", "a.new.example."),
        rrset("a.new.example", "A", "192.0.2.1"),
        rrset("foreign", "DNAME", "new.example."),
    ]
    assert [line.split()[3] for line in texts(served(message).answer)] == ["DNAME", "CNAME", "A"]


@pytest.mark.parametrize(
    ("rdtype", "kept"),
    [("ANY", ["CNAME", "RRSIG", "A"]), ("RRSIG", ["CNAME", "RRSIG"]), ("CNAME", ["CNAME", "RRSIG"])],
)
def test_questions_that_want_more_than_one_type_or_the_alias_itself(rdtype: str, kept: list[str]) -> None:
    """Everything at the names of the chain for ANY; an alias asked for is not followed."""
    message = response(rdtype=rdtype)
    signature = "CNAME 8 2 300 20300101000000 20250101000000 1 example. AAAA"
    message.answer += [
        rrset("www.example", "CNAME", "a.example."),
        rrset("www.example", "RRSIG", signature),
        rrset("a.example", "A", "192.0.2.1"),
    ]
    assert [line.split()[3] for line in texts(served(message).answer)] == kept


def test_an_alias_alone_is_an_answer_to_any() -> None:
    """It is kept, though its target is not in the message."""
    message = response(rdtype="ANY")
    message.answer.append(rrset("www.example", "CNAME", "a.example."))
    assert digested(message).lifetime == 300


def assert_refused(answer: Answer, reason: str) -> None:
    """It is a failure of the name, which the upstream told, with the reason."""
    assert (answer.rcode, answer.error, answer.counts) == (wire.SERVFAIL, (0, reason), (0, 0, 0))
    assert (answer.upstream, answer.path, answer.transient) == ("udp://192.0.2.53:53", "udp", False)


@pytest.mark.parametrize(("records", "usable"), [(MAX_RECORDS, True), (MAX_RECORDS + 1, False)])
@pytest.mark.parametrize("section", [6, 8, 10])
def test_records_have_a_bound(*, records: int, usable: bool, section: int) -> None:
    """In all sections together; of more not even the first is read."""
    octets = bytearray(raw((address(1, 300) * records)[: None if usable else 5], 0))
    octets[section : section + 2] = records.to_bytes(2, "big")
    answer = digest(bytes(octets), upstream="udp://192.0.2.53:53", path="udp")
    if usable:
        assert (answer.rcode, answer.counts[0]) == (wire.NOERROR, records if section == 6 else 0)
    else:
        assert_refused(answer, "the answer has more than 1,000 records")


@pytest.mark.parametrize(("length", "usable"), [(MAX_CHAIN, True), (MAX_CHAIN + 1, False)])
def test_chains_have_an_end(*, length: int, usable: bool) -> None:
    """Eleven CNAMEs are followed, no more (checklist 75)."""
    message = response("host0.example")
    for number in range(length):
        message.answer.append(rrset(f"host{number}.example", "CNAME", f"host{number + 1}.example."))
    message.answer.append(rrset(f"host{length}.example", "A", "192.0.2.1"))
    if usable:
        assert digested(message).counts == (length + 1, 0, 0)
    else:
        assert_refused(digested(message), "the answer has more than 11 CNAMEs, or they have no end")


def test_loops_are_not_followed() -> None:
    """They are failures, at once (checklist 75)."""
    message = response()
    message.answer += [
        rrset("www.example", "CNAME", "a.example."),
        rrset("a.example", "CNAME", "www.example."),
    ]
    assert_refused(digested(message), "the answer has more than 11 CNAMEs, or they have no end")


@pytest.mark.parametrize(
    ("ttl", "minimum", "kept"),
    [(60, 600, 60), (600, 60, 60), (100_000, 100_000, MAX_NEGATIVE_TTL), (60, 0, 0)],
)
@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_a_denial_is_kept_as_long_as_its_soa_says(rcode: str, ttl: int, minimum: int, kept: int) -> None:
    """The lower of TTL and MINIMUM, an hour at most, is what it is served with (checklist 35)."""
    message = response(rcode=rcode)
    message.authority.append(soa(ttl=ttl, minimum=minimum))
    answer = digested(message)
    assert answer.lifetime == kept
    assert [ttl for _, ttl in answer.ttls] == [kept]


@pytest.mark.parametrize("zone", [None, "other", "sub.www.example", "le"])
def test_a_denial_without_a_fitting_soa_is_not_kept(zone: str | None) -> None:
    """Absent, or of a zone that the name is not in (checklist 36)."""
    message = response(rcode="NXDOMAIN")
    if zone is not None:
        message.authority.append(soa(zone))
    answer = digested(message)
    assert (answer.rcode, answer.lifetime) == (wire.NXDOMAIN, 0)


def test_nxdomain_denies_the_name_itself() -> None:
    """Of whatever type."""
    message = response(rcode="NXDOMAIN")
    message.authority.append(soa())
    assert digested(message).denies_name


def test_nxdomain_behind_a_cname_denies_the_target_only() -> None:
    """The alias exists (checklist 38)."""
    message = response(rcode="NXDOMAIN")
    message.answer.append(rrset("www.example", "CNAME", "gone.example.", ttl=30))
    message.authority.append(soa(ttl=60))
    answer = digested(message)
    assert not answer.denies_name
    assert (answer.lifetime, answer.counts) == (30, (1, 1, 0))


def test_no_data_denies_one_type_only() -> None:
    """The name exists (checklist 37)."""
    message = response()
    message.authority.append(soa())
    assert not digested(message).denies_name


def test_an_answer_for_a_name_that_is_denied_is_unusable() -> None:
    """One of the two is a lie."""
    message = response(rcode="NXDOMAIN")
    message.answer.append(rrset("www.example", "A", "192.0.2.1"))
    with pytest.raises(UnusableError):
        digested(message)


@pytest.mark.parametrize(
    ("rcode", "kept"), [("SERVFAIL", 2), ("REFUSED", 5), ("BADVERS", 2), ("BADCOOKIE", 2)]
)
def test_a_failure_is_its_code(rcode: str, kept: int) -> None:
    """Without records; an extended code is between us and the upstream."""
    message = response(rcode=rcode)
    message.authority.append(soa())
    answer = digested(message)
    assert (answer.rcode, answer.counts, answer.body, answer.lifetime) == (kept, (0, 0, 0), b"", 0)


def test_ad_is_what_the_upstream_says() -> None:
    """We vouch for nothing ourselves (checklist 34)."""
    message = response()
    message.answer.append(rrset("www.example", "A", "192.0.2.1"))
    assert not digested(message).authentic
    message.flags |= dns.flags.AD
    assert digested(message).authentic


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="empty"),
        pytest.param(raw(address(1, 300), 2), id="a record missing"),
        pytest.param(raw(address(1, 300)[:-1], 1), id="data past the end"),
        pytest.param(raw(b"\xc0\x40" + address(1, 300)[2:], 1), id="pointer ahead"),
        pytest.param(raw(b"\xc0\x1d" + address(1, 300)[2:], 1), id="pointer to itself"),
        pytest.param(raw(b"\x80a" + address(1, 300)[2:], 1), id="unknown label"),
        pytest.param(raw(address(1, 300)[:-5] + b"\5\xc0\0\2\1\1", 1), id="address of five octets"),
    ],
)
def test_malformed_messages_are_unusable(octets: bytes) -> None:
    """They cost that message only (checklist 24, 25)."""
    with pytest.raises(UnusableError):
        digest(octets, upstream="", path="")


def test_an_answer_that_does_not_fit_any_more_is_a_failure() -> None:
    """Names in data of old types come compressed and leave uncompressed (RFC 3597 §4)."""
    record = b"\xc0\x0c" + (33).to_bytes(2, "big") + b"\0\1\0\0\1\0\0\x08\0\1\0\1\0\1\xc0\x0c"
    label = b"\x3f" + b"a" * 63
    question = label * 3 + b"\0" + (33).to_bytes(2, "big") + b"\0\1"
    octets = b"\0\0\x81\x80\0\1\1\x90\0\0\0\0" + question + record * 400
    answer = digest(octets, upstream="udp://192.0.2.53:53", path="udp")
    assert_refused(answer, "the answer is longer than a message can be")


@given(data=st.data())
def test_damaged_messages_are_digested_or_unusable(data: st.DataObject) -> None:
    """Invariant: whatever an upstream sends, the outcome is well-formed, or UnusableError."""
    message = response()
    message.answer += [rrset("www.example", "CNAME", "a.example."), rrset("a.example", "A", "192.0.2.1")]
    message.authority.append(soa())
    octets = bytearray(message.to_wire())
    for _ in range(data.draw(st.integers(0, 5))):
        octets[data.draw(st.integers(12 + 17, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        answer = digest(bytes(octets), upstream="", path="")
    except UnusableError:
        return
    query = wire.parse_query(dns.message.make_query("www.example", "A").to_wire())
    reply = answer.reply(query, stream=True, age=max(answer.lifetime - 1, 0))
    reader = Reader(reply, wire.HEADER + len(query.question))
    assert len(reader.records(sum(answer.counts))) == sum(answer.counts)
    assert all(ttl >= answer.lifetime for _, ttl in answer.ttls)


def without(unwanted: str, message: dns.message.Message) -> Answer:
    """What is kept where the records whose data is `unwanted` are left out."""
    data = dns.rdata.from_text("IN", "A", unwanted).to_digestable()
    return digest(message.to_wire(), upstream="", path="", unwanted=lambda record: record.before == data)


def test_unwanted_records_are_left_out() -> None:
    """Of the answer and of the additional section; nobody vouches for the rest, and it is said why."""
    message = response(rdtype="MX")
    message.flags |= dns.flags.AD
    message.answer.append(rrset("www.example", "MX", "10 a.example."))
    message.additional.append(rrset("a.example", "A", "10.0.0.1", "192.0.2.1"))
    answer = without("10.0.0.1", message)
    assert answer.counts == (1, 0, 1)
    assert bytes((10, 0, 0, 1)) not in answer.body
    assert (answer.authentic, answer.error) == (False, (15, "internal addresses were left out"))
    whole = without("10.0.0.2", message)
    assert (whole.counts, whole.authentic, whole.error) == ((1, 0, 2), True, None)


def test_where_all_is_left_out_nothing_is_kept() -> None:
    """The name is there, and has no address that anybody may know."""
    message = response()
    message.answer.append(rrset("www.example", "A", "10.0.0.1"))
    answer = without("10.0.0.1", message)
    assert (answer.rcode, answer.counts, answer.lifetime) == (wire.NOERROR, (0, 0, 0), 0)
