import pytest

from sockslocal.resolver.names import first_name, from_labels, last_labels, names_in, reverse, to_wire


def test_names_are_labels_with_their_lengths() -> None:
    """RFC 1035 §3.1."""
    assert to_wire("corp.example") == b"\4corp\7example\0"
    assert from_labels([b"*", b"example"]) == b"\1*\7example\0"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", b"\x011\x012\x010\x03192\7in-addr\4arpa\0"),
        ("::1", b"\x011" + b"\x010" * 31 + b"\3ip6\4arpa\0"),
    ],
)
def test_names_of_addresses_are_read_backwards(address: str, name: bytes) -> None:
    """RFC 1035 §3.5 and RFC 3596 §2.5."""
    assert reverse(address) == name


@pytest.mark.parametrize("name", [b"\4corp\7example\0", b"\0", b"\3a\0b\7example\0"])
def test_a_name_ends_where_its_labels_do(name: bytes) -> None:
    """Not at the first zero octet: a label may hold one (checklist 28)."""
    assert first_name(name + b"\0\1\0\1\2") == name


def test_names_may_stand_one_after_the_other() -> None:
    """Each ends with the root, which may be one of them."""
    names = [b"\1a\7example\0", b"\0", b"\3a\0b\0"]
    assert list(names_in(b"".join(names))) == names
    assert list(names_in(b"")) == []


@pytest.mark.parametrize(
    ("name", "last"),
    [
        (b"\1a\4corp\7example\0", b"\4corp\7example\0"),
        (b"\3a\0b\2de\0", b"\3a\0b\2de\0"),
        (b"\2de\0",) * 2,
        (b"\0",) * 2,
    ],
)
def test_last_labels(name: bytes, last: bytes) -> None:
    """Two, or as many as there are."""
    assert last_labels(name) == last
