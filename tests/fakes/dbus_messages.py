"""D-Bus messages as they come from the bus."""

from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, new_method_call, new_signal
from jeepney.low_level import MessageFlag, MessageType

from sockslocal_tray.sni.inbox import Inbox, Incoming
from sockslocal_tray.sni.objects import Objects

CALLER = ":1.9"


def octets(message: Message, serial: int = 7) -> bytes:
    """The message on its way; the bus adds who sends it."""
    message.header.fields[HeaderFields.sender] = CALLER
    data: bytes = message.serialise(serial)
    return data


def call(
    path: str, interface: str | None, method: str, signature: str = "", *body: object, flags: int = 0
) -> Incoming:
    """A method call that came in."""
    address = DBusAddress(path, ":1.1", interface)
    message = new_method_call(address, method, signature or None, body)
    message.header.flags = MessageFlag(flags)
    (incoming,) = Inbox().feed(octets(message))
    return incoming


def signal(path: str, interface: str, name: str, signature: str = "", *body: object) -> Message:
    """A signal to be sent."""
    return new_signal(DBusAddress(path, interface=interface), name, signature or None, body)


def answer(objects: Objects, incoming: Incoming) -> tuple[Any, ...] | str:
    """What the objects reply, after a passage over the wire: the arguments, or the name of an error."""
    reply = objects.answer(incoming)
    assert reply is not None
    assert reply.header.fields[HeaderFields.destination] == CALLER
    assert reply.header.fields[HeaderFields.reply_serial] == incoming.message.header.serial
    (back,) = Inbox().feed(octets(reply))
    if reply.header.message_type is MessageType.error:
        return back.field(HeaderFields.error_name).removeprefix("org.freedesktop.DBus.Error.")
    return back.body


def sent(message: Message) -> tuple[str, tuple[Any, ...]]:
    """A signal's name and arguments, after a passage over the wire."""
    (back,) = Inbox().feed(octets(message))
    return back.field(HeaderFields.member), back.body
