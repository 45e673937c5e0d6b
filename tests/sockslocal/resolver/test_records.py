import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.resolver.records import MAX_HOPS, Reader, Record, Writer, suffixes
from sockslocal.resolver.wire import HEADER, MalformedError

QUESTION = b"\3www\7example\0\0\1\0\1"
HEAD = b"\0\0\x81\x80\0\1\0\0\0\0\0\0"
START = HEADER + len(QUESTION)

DATA = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "AFSDB": "1 afs.example.",
    "CAA": '0 issue "ca.example"',
    "CNAME": "other.example.",
    "DNAME": "www.example.",
    "DS": "1 8 2 " + "ab" * 32,
    "KX": "10 kx.www.example.",
    "MX": "10 mail.www.example.",
    "NAPTR": '10 20 "u" "sip" "!^.*$!x!" www.example.',
    "NS": "ns.Example.",
    "NSEC": "next.example. A AAAA",
    "PTR": "WWW.example.",
    "PX": "10 a.example. b.example.",
    "RP": "admin.example. text.example.",
    "RRSIG": "A 8 2 300 20300101000000 20250101000000 1 example. AAAA",
    "RT": "10 rt.example.",
    "SOA": "ns.example. admin.www.example. 1 7200 900 1209600 86400",
    "SRV": "1 2 443 www.example.",
    "SVCB": "1 svc.example. alpn=h2",
    "TXT": '"some" "text"',
    "TYPE4711": r"\# 4 c00c0001",
}

labels = st.sampled_from(["www", "WWW", "example", "a", "b-c", "x" * 63])
owners = st.lists(labels, max_size=3).map(lambda parts: ".".join([*parts, ""]) or ".")
rrsets = st.builds(
    lambda owner, rdtype, ttl: dns.rrset.from_text(owner, ttl, "IN", rdtype, DATA[rdtype]),
    owners,
    st.sampled_from(sorted(DATA)),
    st.integers(0, 2**31 - 1),
)


def lower(record: Record) -> Record:
    """`record` with its names in lower case."""
    names = tuple(name.lower() for name in record.names)
    return record._replace(owner=record.owner.lower(), names=names)


def rewritten(message: bytes, count: int) -> bytes:
    """`message` with its records read and written by us."""
    records = Reader(message, START).records(count)
    writer = Writer(QUESTION)
    writer.write(records, [record.ttl for record in records])
    return message[:START] + writer.octets


@given(sets=st.lists(rrsets, max_size=12))
def test_what_dnspython_wrote_reads_the_same_after_us(sets: list[dns.rrset.RRset]) -> None:
    """Every type's data, compressed or not, survives reading and writing, and so do names and TTLs."""
    message = dns.message.make_response(dns.message.make_query("www.example", "A", id=0))
    message.answer += sets
    octets = message.to_wire(max_size=65_535)
    count = int.from_bytes(octets[6:8], "big")
    before, after = (
        dns.message.from_wire(wire, one_rr_per_rrset=True) for wire in (octets, rewritten(octets, count))
    )
    assert [rrset.to_text().lower() for rrset in after.answer] == [
        rrset.to_text().lower() for rrset in before.answer
    ]
    assert len(rewritten(octets, count)) <= len(octets)


@given(sets=st.lists(rrsets, max_size=12))
def test_ttls_are_where_the_writer_says(sets: list[dns.rrset.RRset]) -> None:
    """So that they can be patched in place."""
    message = dns.message.make_response(dns.message.make_query("www.example", "A", id=0))
    message.answer += sets
    octets = message.to_wire(max_size=65_535)
    records = Reader(octets, START).records(int.from_bytes(octets[6:8], "big"))
    writer = Writer(QUESTION)
    writer.write(records, range(1, len(records) + 1))
    for number, (offset, ttl) in enumerate(writer.ttls, start=1):
        assert ttl == number == int.from_bytes(writer.octets[offset : offset + 4], "big")


@pytest.mark.parametrize("rdtype", ["SRV", "RP", "AFSDB", "RT", "PX", "KX", "DNAME", "NAPTR"])
def test_names_that_old_servers_compressed_are_written_whole(rdtype: str) -> None:
    """Read compressed, never written so (RFC 3597 §4)."""
    whole = dns.rdata.from_text("IN", rdtype, DATA[rdtype].replace("www.example.", "example."))
    octets = whole.to_wire()
    assert octets is not None
    compressed = octets.replace(b"\7example\0", b"\xc0\x10")
    assert compressed != octets
    head = b"\xc0\x0c" + int(whole.rdtype).to_bytes(2, "big") + b"\0\1\0\0\0\x01"
    message = HEAD + QUESTION + head + len(compressed).to_bytes(2, "big") + compressed
    assert rewritten(message, 1) == HEAD + QUESTION + head + len(octets).to_bytes(2, "big") + octets


@given(octets=st.binary(max_size=120), count=st.integers(0, 5))
def test_garbage_is_malformed_and_nothing_else(octets: bytes, count: int) -> None:
    """Invariant: any octets are `count` records or MalformedError."""
    try:
        records = Reader(HEAD + QUESTION + octets, START).records(count)
    except MalformedError:
        return
    assert len(records) == count


@given(data=st.data())
def test_damage_is_read_or_malformed_and_what_is_read_can_be_written(data: st.DataObject) -> None:
    """Invariant: octets changed at random lead to MalformedError or to records that can be read again."""
    message = dns.message.make_response(dns.message.make_query("www.example", "A", id=0))
    message.answer += data.draw(st.lists(rrsets, min_size=1, max_size=4))
    octets = bytearray(message.to_wire(max_size=65_535))
    count = int.from_bytes(octets[6:8], "big")
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(START, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        records = Reader(bytes(octets), START).records(count)
    except MalformedError:
        return
    again = Reader(rewritten(bytes(octets), count), START).records(count)
    assert [lower(entry) for entry in again] == [lower(entry) for entry in records]


def record(owner: bytes, rdtype: int = 1, data: bytes = b"\xc0\0\2\1") -> bytes:
    """A record of class IN."""
    return owner + rdtype.to_bytes(2, "big") + b"\0\1\0\0\1\0" + len(data).to_bytes(2, "big") + data


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(record(b"\xc0\x1d"), id="pointer to itself"),
        pytest.param(record(b"\1a\xc0\x1d"), id="pointer to its own name"),
        pytest.param(record(b"\xc0\x40"), id="pointer ahead"),
        pytest.param(record(b"\xc0\x02"), id="pointer into the header"),
        pytest.param(record(b"\x80a"), id="unknown label type"),
        pytest.param(record(b"\x40" + b"a" * 64 + b"\0"), id="label of 64"),
        pytest.param(record((b"\x3f" + b"a" * 63) * 4 + b"\0"), id="name of 257"),
        pytest.param(
            record((b"\x3f" + b"a" * 63) * 3 + b"\x34" + b"b" * 52 + b"\xc0\x0c"), id="258 by pointer"
        ),
        pytest.param(record(b"\0")[:-1], id="data past the end"),
        pytest.param(record(b"\0")[:-6], id="fixed part past the end"),
        pytest.param(b"\3ww", id="name past the end"),
        pytest.param(b"\xc0", id="half a pointer"),
        pytest.param(record(b"\0", data=b"\xc0\0\2\1\1"), id="address of five octets"),
        pytest.param(record(b"\0", 28), id="address of four octets for IPv6"),
        pytest.param(record(b"\0", 5, b""), id="alias of nothing"),
        pytest.param(record(b"\0", 5, b"\0\0"), id="octets after the alias"),
        pytest.param(record(b"\0", 15, b"\0\1"), id="exchange without a name"),
        pytest.param(record(b"\0", 6, b"\0\0" + bytes(19)), id="start of authority cut short"),
        pytest.param(record(b"\0", 35, b"\0\1\0\1\xff"), id="strings past the end"),
    ],
)
def test_malformed_records(octets: bytes) -> None:
    """Pointers, labels and lengths that lead anywhere but into the message itself (checklist 24, 25)."""
    with pytest.raises(MalformedError):
        Reader(HEAD + QUESTION + octets, START).records(1)


@pytest.mark.parametrize(("hops", "accepted"), [(MAX_HOPS, True), (MAX_HOPS + 1, False)])
def test_chains_of_pointers_are_short(*, hops: int, accepted: bool) -> None:
    """A long one is built to cost time."""
    places = [HEADER, *(START + 11 + 2 * number for number in range(hops - 1))]
    *chain, last = ((0xC000 | place).to_bytes(2, "big") for place in places)
    message = HEAD + QUESTION + record(b"\0", 4711, b"".join(chain)) + record(last)
    reader = Reader(message, START)
    if accepted:
        assert reader.records(2)[1].owner == b"\3www\7example\0"
    else:
        with pytest.raises(MalformedError):
            reader.records(2)


def test_labels_of_one_message_are_bounded() -> None:
    """Legal names, each read anew, as many as fit: the work ends soon."""
    name = b"\1a" * 126 + b"\0"
    with pytest.raises(MalformedError):
        Reader(HEAD + QUESTION + record(name) * 200, START).records(200)
    assert len(Reader(HEAD + QUESTION + record(name) * 50, START).records(50)) == 50


def test_many_records_of_one_name_are_cheap() -> None:
    """A pointer that was followed is not followed again, however often it occurs."""
    message = (
        HEAD
        + QUESTION
        + record(b"\1a" * 120 + b"\xc0\x0c")
        + record((0xC000 | START).to_bytes(2, "big")) * 4000
    )
    assert len(Reader(message, START).records(4001)) == 4001


def test_a_name_beyond_the_reach_of_pointers_is_written_whole() -> None:
    """They have 14 bits."""
    filler = record(b"\0", 4711, bytes(17_000))
    message = HEAD + QUESTION + filler + record(b"\3far\3off\0") + record(b"\3far\3off\0")
    assert rewritten(message, 3) == message


def test_names_are_referred_to_in_any_case() -> None:
    """The client's letter case is in its question; ours must not leak out of the upstream's echo."""
    message = HEAD + QUESTION + record(b"\3WWW\7eXample\0") + record(b"\3ftp\7eXample\0")
    assert rewritten(message, 2) == HEAD + QUESTION + record(b"\xc0\x0c") + record(b"\3ftp\xc0\x10")


def test_what_a_signature_covers() -> None:
    """Other types cover nothing."""
    signature = dns.rdata.from_text("IN", "RRSIG", DATA["RRSIG"]).to_wire()
    assert signature is not None
    message = HEAD + QUESTION + record(b"\xc0\x0c", 46, signature) + record(b"\xc0\x0c")
    assert [entry.covers for entry in Reader(message, START).records(2)] == [1, 0]


def test_suffixes_are_a_name_and_its_parents() -> None:
    """Without the root, cut between labels only."""
    assert list(suffixes(b"\3www\7example\0")) == [b"\3www\7example\0", b"\7example\0"]
    assert list(suffixes(b"\0")) == []
