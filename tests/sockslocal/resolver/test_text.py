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


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("a..example", "A"),
        ("a" * 64 + ".example", "A"),
        ("bü cher.example", "A"),
        ("www.example", "NONSENSE"),
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
