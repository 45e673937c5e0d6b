"""D-Bus objects: tables of properties, methods and signals, and what answers the calls to them.

A call is checked against its table before a handler sees it, so that no caller can do more than be refused.
Introspection is written from the same tables.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jeepney import DBusAddress, new_error, new_method_return, new_signal
from jeepney.low_level import HeaderFields, Message, MessageFlag

from sockslocal_tray.sni.inbox import Incoming

_log = logging.getLogger(__name__)

Body = tuple[Any, ...]


class RefusedError(Exception):
    """The answer to a call that cannot be done; `name` is the last part of the D-Bus error's name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = f"org.freedesktop.DBus.Error.{name}"


@dataclass(frozen=True)
class Property:
    """A property that can be read; `kind` is its D-Bus type."""

    kind: str
    get: Callable[[], Any]

    def variant(self) -> tuple[str, Any]:
        """Its value now."""
        return self.kind, self.get()


@dataclass(frozen=True)
class Method:
    """`takes` and `gives` list the arguments as type:name."""

    call: Callable[..., Body]
    takes: str = ""
    gives: str = ""


@dataclass(frozen=True)
class Interface:
    """One side of an object; the values of `signals` list the arguments as type:name."""

    name: str
    properties: Mapping[str, Property] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    signals: Mapping[str, str] = field(default_factory=dict)

    def signal(self, path: str, name: str, *body: object) -> Message:
        """The signal `name` of the object at `path`."""
        return new_signal(
            DBusAddress(path, interface=self.name), name, _signature(self.signals[name]) or None, body
        )

    def changed(self, path: str, names: Sequence[str]) -> Message:
        """The signal that tells the new values of some properties."""
        values = {name: self.properties[name].variant() for name in names}
        address = DBusAddress(path, interface=_PROPERTIES)
        return new_signal(address, "PropertiesChanged", "sa{sv}as", (self.name, values, []))


_INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
_PEER = "org.freedesktop.DBus.Peer"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_STANDARD = (_INTROSPECTABLE, _PEER, _PROPERTIES)


class Objects:
    """All objects of a connection, by their paths."""

    def __init__(self, objects: Mapping[str, Interface]) -> None:
        self._objects = {path: self._sides(path, side) for path, side in objects.items()}

    def answer(self, incoming: Incoming) -> Message | None:
        """The reply to a method call; None where the caller wants none."""
        call = incoming.message
        try:
            method = self._method(incoming)
            body = method.call(*incoming.body)
            reply = new_method_return(call, _signature(method.gives) or None, body)
        except RefusedError as refused:
            reply = new_error(call, refused.name, "s", (str(refused),))
        except Exception:  # noqa: BLE001  one call's bug must not end the others
            _log.exception("! a call to the tray icon failed")
            reply = new_error(call, "org.freedesktop.DBus.Error.Failed", "s", ("it failed",))
        return None if call.header.flags & MessageFlag.no_reply_expected else reply

    def _method(self, incoming: Incoming) -> Method:
        name = incoming.field(HeaderFields.member)
        for side in self._called(incoming):
            if name in side.methods:
                _check_arguments(side.methods[name], incoming)
                return side.methods[name]
        raise RefusedError("UnknownMethod", "no such method")

    def _called(self, incoming: Incoming) -> list[Interface]:
        """The interface that the call names, or all where it names none."""
        path = incoming.field(HeaderFields.path)
        sides = self._objects.get(path) or self._crossing(path)
        name = incoming.field(HeaderFields.interface)
        chosen = [side for side in sides if name in ("", side.name)]
        if not chosen:
            raise RefusedError("UnknownInterface", "no such interface")
        return chosen

    def _crossing(self, path: str) -> list[Interface]:
        """A path that only leads to others can be asked which."""
        if not any(_is_below(known, path) for known in self._objects):
            raise RefusedError("UnknownObject", "no such object")
        return [self._introspectable(path, [])]

    def _sides(self, path: str, own: Interface) -> list[Interface]:
        sides = [own, _properties(own), Interface(_PEER, methods={"Ping": Method(tuple)})]
        return [*sides, self._introspectable(path, sides)]

    def _introspectable(self, path: str, sides: Sequence[Interface]) -> Interface:
        def introspect() -> Body:
            below = sorted({_next_part(known, path) for known in self._objects if _is_below(known, path)})
            return ("\n".join(_node([*sides, itself], below)),)

        itself = Interface(_INTROSPECTABLE, methods={"Introspect": Method(introspect, gives="s:xml")})
        return itself


def _check_arguments(method: Method, incoming: Incoming) -> None:
    wanted = _signature(method.takes)
    if not incoming.readable:
        raise RefusedError("InvalidArgs", "the arguments cannot be read, or are too long")
    if incoming.field(HeaderFields.signature) != wanted:
        raise RefusedError("InvalidArgs", f"the arguments have to be '{wanted}'")


def _properties(own: Interface) -> Interface:
    def known(interface: str) -> Mapping[str, Property]:
        if interface in _STANDARD:
            return {}  # panels ask for those of this interface, too
        if interface not in ("", own.name):
            raise RefusedError("UnknownInterface", "no such interface")
        return own.properties

    def chosen(interface: str, name: str) -> Property:
        try:
            return known(interface)[name]
        except KeyError:
            raise RefusedError("UnknownProperty", "no such property") from None

    def get(interface: str, name: str) -> Body:
        return (chosen(interface, name).variant(),)

    def get_all(interface: str) -> Body:
        return ({name: one.variant() for name, one in known(interface).items()},)

    def refuse(interface: str, name: str, _: object) -> Body:
        chosen(interface, name)
        raise RefusedError("PropertyReadOnly", "it can only be read")

    return Interface(
        _PROPERTIES,
        methods={
            "Get": Method(get, "s:interface s:name", "v:value"),
            "GetAll": Method(get_all, "s:interface", "a{sv}:values"),
            "Set": Method(refuse, "s:interface s:name v:value"),
        },
        signals={"PropertiesChanged": "s:interface a{sv}:changed as:invalidated"},
    )


def _signature(arguments: str) -> str:
    return "".join(argument.partition(":")[0] for argument in arguments.split())


def _is_below(path: str, above: str) -> bool:
    return path != above and path.startswith(above.rstrip("/") + "/")


def _next_part(path: str, above: str) -> str:
    return path.removeprefix(above.rstrip("/") + "/").partition("/")[0]


def _node(sides: Sequence[Interface], below: Sequence[str]) -> Iterator[str]:
    yield "<node>"
    for side in sides:
        yield f' <interface name="{side.name}">'
        for name, one in side.properties.items():
            yield f'  <property name="{name}" type="{one.kind}" access="read"/>'
        for name, method in side.methods.items():
            yield f'  <method name="{name}">'
            yield from _arguments(method.takes, ' direction="in"')
            yield from _arguments(method.gives, ' direction="out"')
            yield "  </method>"
        for name, arguments in side.signals.items():
            yield f'  <signal name="{name}">'
            yield from _arguments(arguments, "")
            yield "  </signal>"
        yield " </interface>"
    yield from (f' <node name="{part}"/>' for part in below)
    yield "</node>"


def _arguments(arguments: str, direction: str) -> Iterator[str]:
    for argument in arguments.split():
        kind, _, name = argument.partition(":")
        yield f'   <arg name="{name}" type="{kind}"{direction}/>'
