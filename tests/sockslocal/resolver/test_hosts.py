import pytest

from sockslocal.resolver.hosts import MAX_ADDRESSES, MAX_LINE, SLICE, Hosts
from sockslocal.resolver.local_answers import Addresses, Pointer
from sockslocal.resolver.names import reverse, to_wire

V4, V6 = bytes((192, 0, 2, 1)), bytes.fromhex("20010db8" + "00" * 11 + "01")


def read(*contents: str) -> Hosts:
    """What files say."""
    hosts = Hosts()
    for content in contents:
        for _ in hosts.read(content.encode()):
            pass
    return hosts


def test_names_have_the_addresses_of_all_lines() -> None:
    """Of both families, from several files, in their order, each once."""
    found = read("192.0.2.1\tNAS.lan nas # mine\n\n# comment\n", "2001:db8::1 nas.lan\n192.0.2.1 nas.lan")
    assert found.find(to_wire("nas.lan")) == Addresses((V4, V6), "a hosts file")
    assert found.find(to_wire("nas")) == Addresses((V4,), "a hosts file")
    assert found.wrong == 0


def test_addresses_have_the_first_of_their_names() -> None:
    """As the resolver of the C library has it."""
    found = read("192.0.2.1 nas.lan nas\n192.0.2.1 other\n2001:db8::1 nas.lan")
    assert found.find(reverse("192.0.2.1")) == Pointer(to_wire("nas.lan"), "a hosts file")
    assert found.find(reverse("2001:db8::1")) == Pointer(to_wire("nas.lan"), "a hosts file")


def test_localhost_cannot_be_moved() -> None:
    """It is the loopback address always (RFC 6761 §6.3)."""
    found = read("192.0.2.1 localhost LOCALHOST. www.localhost\nfe80::1%lo0 localhost x")
    assert (len(found), found.wrong) == (0, 0)


@pytest.mark.parametrize("line", ["nas.lan 192.0.2.1", "192.0.2 nas", "192.0.2.1 a..b", "::g nas"])
def test_lines_that_say_nothing_are_counted(line: str) -> None:
    """And the others are good."""
    found = read(f"{line}\n192.0.2.1 nas.lan")
    assert found.wrong == 1
    assert found.find(to_wire("nas.lan")) == Addresses((V4,), "a hosts file")
    assert len(found) == 1


def test_octets_that_are_no_text_are_a_wrong_line() -> None:
    """The file is read all the same."""
    hosts = Hosts()
    assert list(hosts.read(b"192.0.2.1 \xff\xfe\n192.0.2.1 nas")) == []
    assert hosts.wrong == 1


def test_a_name_has_a_bounded_number_of_addresses() -> None:
    """More would not fit into an answer."""
    found = read("".join(f"10.0.{number}.1 many\n" for number in range(MAX_ADDRESSES + 9)))
    many = found.find(to_wire("many"))
    assert isinstance(many, Addresses)
    assert len(many.addresses) == MAX_ADDRESSES


def test_a_large_file_is_a_little_work_at_a_time() -> None:
    """Others have their turn after every few lines, and names."""
    hosts = Hosts()
    content = "".join(f"192.0.2.1 n{number}\n" for number in range(3 * SLICE)).encode()
    assert len(list(hosts.read(content))) >= 6
    assert len(list(Hosts().read(b"192.0.2.1" + b" nas" * 3 * SLICE))) >= 3


def test_a_byte_order_mark_is_not_of_the_first_line() -> None:
    """Editors write one."""
    found = read("\ufeff192.0.2.1 nas")
    assert (len(found), found.wrong) == (1, 0)


def test_lines_are_bounded() -> None:
    """A file that is one long line is no hosts file; the next line may be good."""
    found = read(f"192.0.2.1 {'nas ' * MAX_LINE}\n192.0.2.1 nas.lan")
    assert (len(found), found.wrong) == (1, 1)
    assert found.find(to_wire("nas")) is None


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes first is good."""
    monkeypatch.setattr("sockslocal.resolver.hosts.MAX_NAMES", 2)
    assert not read("192.0.2.1 a b\n192.0.2.2 a b").full
    found = read("192.0.2.1 a\n192.0.2.1 b\n192.0.2.1 c\n")
    assert found.full
    assert [bool(found.find(to_wire(name))) for name in "abc"] == [True, True, False]
