import pytest

from sockslocal.errors import ControlError
from sockslocal.problems import ExitCode
from sockslocal.resolver import text, wire
from sockslocal.resolver.answer import Answer, failure


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("www.example", "www.example."),
        ("www.example.", "www.example."),
        ("_dmarc.example", "_dmarc.example."),
        ("Bücher.example", "xn--bcher-kva.example."),
        (".", "."),
    ],
)
def test_a_name_as_typed_becomes_a_question(name: str, wanted: str) -> None:
    """With EDNS, so that the reply may say why it is one of failure."""
    query = text.parse(name, "aaaa")
    assert text.name(query.name) == wanted
    assert query.rdtype == 28
    assert query.profile.opt


@pytest.mark.parametrize("rdtype", ["65", "TYPE65", "https", "HTTPS"])
def test_a_type_has_a_name_or_a_number(rdtype: str) -> None:
    """The number alone, or as RFC 3597 §5 writes it."""
    assert text.parse("www.example", rdtype).rdtype == 65


@pytest.mark.parametrize(
    ("name", "rdtype", "reason"),
    [
        ("", "A", '"" "A" cannot be asked: there is no name; the root of all is called .'),
        (
            "a" * 10_000,
            "A",
            f'"{"a" * 80}…" "A" cannot be asked: it has 10,000 characters, and a name at most 1,004',
        ),
        ("x", "IPV4", '"IPV4" is no type that can be asked for; others than those known go as TYPE65'),
        ("x", "", '"" is no type that can be asked for; others than those known go as TYPE65'),
        ("x", "100000", '"100000" is no type that can be asked for; others than those known go as TYPE65'),
    ],
)
def test_why_it_cannot_be_asked_is_told(name: str, rdtype: str, reason: str) -> None:
    """In words of ours."""
    with pytest.raises(ControlError) as error:
        text.parse(name, rdtype)
    assert error.value.problem.text == reason


def test_a_name_may_be_as_long_as_it_can_be_written() -> None:
    """Every octet of it by its number."""
    name = ".".join(["\\001" * 63] * 3 + ["\\001" * 61])
    assert len(name) == text.MAX_NAME - 1
    assert len(text.parse(f"{name}.", "A").name) == 255


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("a..example", "A"),
        ("a" * 64 + ".example", "A"),
        ("bü cher.example", "A"),
        ("www.example", "NONSENSE"),
        ("www.example", "65536"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_error(name: str, rdtype: str) -> None:
    """It names what was typed."""
    with pytest.raises(ControlError) as error:
        text.parse(name, rdtype)
    assert error.value.exit_code == ExitCode.USAGE
    assert rdtype in error.value.problem.text


def test_records_are_lines() -> None:
    """A line each, with TTLs as of now."""
    query = text.parse("www.example", "A")
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2"
    answer = Answer(
        rcode=wire.NOERROR, counts=(2, 0, 0), body=record + b"\1" + record + b"\2", ttls=((6, 300), (22, 300))
    )
    assert text.records(query, answer, 100) == (
        "www.example. 200 IN A 192.0.2.1",
        "www.example. 200 IN A 192.0.2.2",
    )


def test_codes_have_names() -> None:
    """Those of the registry."""
    assert text.rcode(failure(wire.SERVFAIL, 22, "silence")) == "SERVFAIL"
    assert text.rcode(Answer(rcode=wire.NXDOMAIN)) == "NXDOMAIN"


def test_data_that_cannot_be_read_is_shown_in_hexadecimal() -> None:
    """As RFC 3597 §5 writes unknown data; the other records are shown all the same."""
    query = text.parse("www.example", "HTTPS")
    data = b"\0\1\0\0\5\0\1\0"
    record = b"\xc0\x0c\0\x41\0\1\0\0\1\x2c\0" + bytes((len(data),)) + data
    answer = Answer(rcode=wire.NOERROR, counts=(1, 0, 0), body=record)
    assert text.records(query, answer, 0) == (f"www.example. 300 IN HTTPS \\# 8 {data.hex()}",)
