import dns.message
import dns.rrset
import pytest

from sockslocal.resolver import wire
from sockslocal.resolver.digest import digest
from sockslocal.resolver.records import IN, RRSIG, SVCB, Record
from sockslocal.resolver.scrub import in_additional, in_authority, with_parents

SIGNATURE = "13 2 300 20300101000000 20200101000000 1 {zone} AAAA"
SOA = "ns.bank.example. admin.bank.example. 1 7200 900 1209600 60"
HASH = "2t7b4g4vsa5smi47k61mv5bv1a22bojr"
ADDRESS = "www.bank.example A 192.0.2.1"


def signature(owner: str, covers: str, zone: str = "bank.example.") -> str:
    """One of a record of that type."""
    return f"{owner} RRSIG {covers} {SIGNATURE.format(zone=zone)}"


def served(
    rdtype: str, answer: list[str], authority: list[str], additional: list[str]
) -> dns.message.Message:
    """What a client that asks for www.bank.example gets of an upstream's message."""
    query = dns.message.make_query("www.bank.example", rdtype, want_dnssec=True)
    message = dns.message.make_response(query)
    for section, lines in (
        (message.answer, answer),
        (message.authority, authority),
        (message.additional, additional),
    ):
        for line in lines:
            owner, kind, data = line.split(" ", 2)
            section.append(dns.rrset.from_text(f"{owner}.", 300, "IN", kind, data))
    kept = digest(message.to_wire(), upstream="u", path="tcp")
    return dns.message.from_wire(kept.reply(wire.parse_query(query.to_wire()), stream=True))


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """The records as they were given."""
    return [
        f"{records.name.to_text(omit_final_dot=True)} {line.split(' ', 3)[3]}"
        for records in section
        for line in records.to_text().splitlines()
    ]


@pytest.mark.parametrize(
    "record", ["example NS evil.example.", "bank.example NS evil.example.", f"bank.example SOA {SOA}"]
)
def test_name_servers_do_not_go_with_what_exists(record: str) -> None:
    """Nobody asked for them, and a resolver behind us might go by them; nor does what denies something."""
    reply = served("A", [ADDRESS], [record], ["evil.example A 192.0.2.6"])
    assert lines(reply.answer) == [ADDRESS]
    assert (reply.authority, reply.additional) == ([], [])


@pytest.mark.parametrize("answer", [[], ["www.bank.example CNAME absent.bank.example."]])
def test_a_denial_is_whole(answer: list[str]) -> None:
    """The zone's SOA, the proofs of neighbours that there is nothing between them, and all signatures."""
    authority = [
        f"bank.example SOA {SOA}",
        signature("bank.example", "SOA"),
        "a.bank.example NSEC z.bank.example. A RRSIG NSEC",
        signature("a.bank.example", "NSEC"),
        f"{HASH}.bank.example NSEC3 1 0 0 - {HASH} A RRSIG",
        signature(f"{HASH}.bank.example", "NSEC3"),
    ]
    assert len(lines(served("A", answer, authority, []).authority)) == len(authority)


def test_a_proof_that_no_closer_name_exists_goes_with_a_wildcard() -> None:
    """Where only signatures tell the zone, of the root too (RFC 4035 §3.1.3.3)."""
    for zone, neighbour in (("bank.example.", "a.bank.example"), (".", "museum")):
        answer = [ADDRESS, signature("www.bank.example", "A", zone)]
        authority = [f"{neighbour} NSEC z.bank.example. A", signature(neighbour, "NSEC", zone)]
        assert len(lines(served("A", answer, authority, []).authority)) == 2


def test_a_referral_is_whole() -> None:
    """Who gets one for an answer sees that it is none."""
    authority = ["bank.example NS ns.bank.example.", "bank.example DS 1 13 2 " + "ab" * 32]
    reply = served("A", [], authority, ["ns.bank.example A 192.0.2.53"])
    assert [line.lower() for line in lines(reply.authority)] == [line.lower() for line in authority]
    assert lines(reply.additional) == ["ns.bank.example A 192.0.2.53"]


@pytest.mark.parametrize(
    "record",
    [
        f"other.example SOA {SOA}",
        "other.example NS evil.example.",
        "sub.www.bank.example NS evil.example.",
        "other.example DS 1 13 2 " + "ab" * 32,
        "a.other.example NSEC z.other.example. A",
        "www.bank.example A 192.0.2.6",
        "www.bank.example TXT text",
    ],
)
def test_what_is_said_of_others_does_not_go_with_a_denial(record: str) -> None:
    """Nor what no authority section holds."""
    owner, rdtype, _ = record.split(" ", 2)
    soa = f"bank.example SOA {SOA}"
    zone = "other.example."
    reply = served("A", [], [soa, record, signature(owner, rdtype, zone)], [])
    assert lines(reply.authority) == [soa]


@pytest.mark.parametrize(
    ("rdtype", "data"),
    [
        ("MX", "10 mail.other.example."),
        ("SRV", "0 0 5060 mail.other.example."),
        ("NS", "mail.other.example."),
        ("NAPTR", '1 1 "s" "SIP+D2U" "" mail.other.example.'),
        ("SVCB", "1 mail.other.example."),
        ("HTTPS", "1 MAIL.other.example. alpn=h2"),
    ],
)
def test_addresses_of_names_that_are_mentioned_go_with_an_answer(rdtype: str, data: str) -> None:
    """With signatures, and those of the name itself; nothing else does (RFC 1035 §3.3.9, RFC 9460 §4.1)."""
    good = [
        "mail.other.example A 192.0.2.1",
        "mail.other.example AAAA 2001:db8::1",
        signature("mail.other.example", "A", "other.example."),
        "www.bank.example A 192.0.2.2",
    ]
    bad = ["bank.com A 6.6.6.6", "mail.other.example TXT text", "other.example A 6.6.6.6"]
    reply = served(rdtype, [f"www.bank.example {rdtype} {data}"], [], [*bad, *good])
    assert len(lines(reply.additional)) == len(good)
    assert not {line.split()[0] for line in lines(reply.additional)} & {"bank.com", "other.example"}


@pytest.mark.parametrize("data", [b"", b"\0\1", b"\0\1\4mail", bytes(17), bytes(18) + b"\7example"])
def test_data_without_the_name_that_it_should_have(data: bytes) -> None:
    """It vouches for nothing, and mentions nothing: nobody has read it before."""
    name = b"\3www\7example\0"
    odd = [Record(name, rdtype, IN, 300, data, (), b"") for rdtype in (RRSIG, SVCB)]
    proof = Record(name, 47, IN, 300, b"", (), b"")
    assert not in_authority(odd, [], with_parents((name,)), exists=True)(proof)
    address = Record(b"\4mail\0", 1, IN, 300, bytes(4), (), b"")
    assert not in_additional([name], odd)(address)
