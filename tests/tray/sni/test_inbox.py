import struct

import pytest
from jeepney import DBusAddress, HeaderFields, new_method_call

from fakes.dbus_messages import octets
from sockslocal_tray.sni.inbox import MAX_OCTETS, Inbox, Incoming, NoMessagesError

ITEM = DBusAddress("/StatusNotifierItem", ":1.1", "org.kde.StatusNotifierItem")


def activate(x: int = 1) -> bytes:
    """A call."""
    return octets(new_method_call(ITEM, "Activate", "ii", (x, 2)))


def long(length: int) -> bytes:
    """A call with so many octets of text."""
    return octets(new_method_call(ITEM, "Scroll", "s", ("x" * length,)))


def test_messages_in_pieces() -> None:
    """It does not matter how the stream is cut."""
    stream = activate(1) + activate(2) + activate(3)
    for size in (1, 7, 16, 17, len(activate()), 1000):
        inbox = Inbox()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        bodies = [incoming.body for piece in pieces for incoming in inbox.feed(piece)]
        assert bodies == [(1, 2), (2, 2), (3, 2)]


def test_fields() -> None:
    """What the header has can be asked for, and what it lacks is empty."""
    (incoming,) = Inbox().feed(activate())
    assert incoming.field(HeaderFields.member) == "Activate"
    assert incoming.field(HeaderFields.error_name) == ""
    assert incoming.readable


@pytest.mark.parametrize("size", [1_000, 65_536, 10_000_000])
def test_a_message_that_is_too_long_is_known_by_its_header_alone(size: int) -> None:
    """It takes no memory, can be answered, and the next one is read as ever."""
    inbox = Inbox()
    stream = long(3 * MAX_OCTETS) + activate()
    incoming: list[Incoming] = []
    for at in range(0, len(stream), size):
        incoming += inbox.feed(stream[at : at + size])
        assert len(inbox._buffer) < MAX_OCTETS + size
    assert [(one.readable, one.field(HeaderFields.member)) for one in incoming] == [
        (False, "Scroll"),
        (True, "Activate"),
    ]


def test_a_body_that_makes_no_sense_is_left_out() -> None:
    """Whose text is no UTF-8 is answered, not believed."""
    broken = long(8).replace(b"xxxxxxxx", b"\xff" * 8)
    (incoming,) = Inbox().feed(broken)
    assert (incoming.readable, incoming.body) == (False, ())


def test_what_has_no_proper_header_is_passed_over() -> None:
    """A type of message that a later D-Bus may have, with fields that this one lacks."""
    strange = bytearray(activate())
    strange[1] = 9
    assert len(list(Inbox().feed(bytes(strange) + activate()))) == 1


def test_a_header_that_is_too_long_is_passed_over() -> None:
    """There is nobody to answer to in a message whose first quarter megabyte is a path."""
    size = MAX_OCTETS * 2
    fixed = struct.pack("<cBBBII", b"l", 1, 0, 1, 0, 1) + struct.pack("<I", size)
    inbox = Inbox()
    assert list(inbox.feed(fixed + b"\1" * size)) == []
    assert len(list(inbox.feed(activate()))) == 1


def test_no_dbus() -> None:
    """Who speaks something else is found out by the first octet."""
    with pytest.raises(NoMessagesError, match="byte order"):
        list(Inbox().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
