import xml.etree.ElementTree as ET
from typing import Any

import pytest

from fakes.dbus_messages import answer, call, sent
from sockslocal_tray.sni.inbox import Incoming
from sockslocal_tray.sni.objects import Interface, Method, Objects, Property, RefusedError

LAMP = "org.example.Lamp"
PROPERTIES = "org.freedesktop.DBus.Properties"
LIT = [False]


def switch(on: bool) -> tuple[bool]:  # noqa: FBT001  as it comes from the bus
    """Light or dark."""
    LIT[0] = on
    return (not on,)


def fail() -> tuple[()]:
    """A bug."""
    raise ZeroDivisionError


def refuse() -> tuple[()]:
    """No."""
    raise RefusedError("AccessDenied", "not today")


LAMP_SIDE = Interface(
    LAMP,
    {"Lit": Property("b", lambda: LIT[0]), "Watts": Property("u", lambda: 60)},
    {"Switch": Method(switch, "b:on", "b:before"), "Fail": Method(fail), "Refuse": Method(refuse)},
    {"Switched": "b:on", "Broke": ""},
)
OBJECTS = Objects({"/house/lamp": LAMP_SIDE})


def ask(interface: str | None, method: str, signature: str = "", *body: object) -> Any:
    """What the lamp answers."""
    return answer(OBJECTS, call("/house/lamp", interface, method, signature, *body))


@pytest.fixture(autouse=True)
def _dark() -> None:
    LIT[0] = False


def test_a_call() -> None:
    """The handler is given the arguments, and what it returns is the reply."""
    assert ask(LAMP, "Switch", "b", True) == (False,)
    assert LIT == [True]


def test_a_call_that_names_no_interface() -> None:
    """Then the method is looked for in all of them (D-Bus Specification, Method Calls)."""
    assert ask(None, "Switch", "b", True) == (False,)
    assert ask(None, "Get", "ss", LAMP, "Watts") == (("u", 60),)


def test_a_call_that_wants_no_reply() -> None:
    """It is done all the same."""
    assert OBJECTS.answer(call("/house/lamp", LAMP, "Switch", "b", True, flags=1)) is None
    assert LIT == [True]


@pytest.mark.parametrize(
    ("error", "where", "called"),
    [
        ("UnknownObject", ("/house/door", LAMP), ("Switch", "b", True)),
        ("UnknownObject", ("/house/lamp/bulb", LAMP), ("Switch", "b", True)),
        ("UnknownInterface", ("/house/lamp", "org.example.Door"), ("Switch", "b", True)),
        ("UnknownInterface", ("/house", LAMP), ("Switch", "b", True)),
        ("UnknownMethod", ("/house/lamp", LAMP), ("Explode", "b", True)),
        ("UnknownMethod", ("/house/lamp", None), ("Explode", "")),
        ("InvalidArgs", ("/house/lamp", LAMP), ("Switch", "s", "yes")),
        ("InvalidArgs", ("/house/lamp", LAMP), ("Switch", "bb", True, True)),
        ("InvalidArgs", ("/house/lamp", LAMP), ("Switch", "")),
        ("AccessDenied", ("/house/lamp", LAMP), ("Refuse", "")),
        ("Failed", ("/house/lamp", LAMP), ("Fail", "")),
    ],
)
def test_errors(error: str, where: tuple[str, str | None], called: tuple[Any, ...]) -> None:
    """Whatever is wrong about a call has its error, and nothing else happens."""
    assert answer(OBJECTS, call(*where, *called)) == error
    assert LIT == [False]


def test_arguments_that_could_not_be_read() -> None:
    """Whoever sends them is told."""
    good = call("/house/lamp", LAMP, "Switch", "b", True)
    assert answer(OBJECTS, Incoming(good.message, readable=False)) == "InvalidArgs"
    assert LIT == [False]


def test_properties() -> None:
    """They can be read, one or all; those of the interfaces that all objects have are none."""
    assert ask(PROPERTIES, "Get", "ss", LAMP, "Lit") == (("b", False),)
    assert ask(PROPERTIES, "GetAll", "s", LAMP) == ({"Lit": ("b", False), "Watts": ("u", 60)},)
    assert ask(PROPERTIES, "GetAll", "s", "") == ({"Lit": ("b", False), "Watts": ("u", 60)},)
    assert ask(PROPERTIES, "GetAll", "s", PROPERTIES) == ({},)


def test_properties_that_are_not_there() -> None:
    """Nor can those that are be written."""
    assert ask(PROPERTIES, "Get", "ss", LAMP, "Colour") == "UnknownProperty"
    assert ask(PROPERTIES, "Get", "ss", "org.example.Door", "Lit") == "UnknownInterface"
    assert ask(PROPERTIES, "GetAll", "s", "org.example.Door") == "UnknownInterface"
    assert ask(PROPERTIES, "Set", "ssv", LAMP, "Lit", ("b", True)) == "PropertyReadOnly"
    assert ask(PROPERTIES, "Set", "ssv", LAMP, "Colour", ("s", "red")) == "UnknownProperty"


def test_signals() -> None:
    """Those of the interface, and the one that all have for their properties."""
    assert sent(LAMP_SIDE.signal("/house/lamp", "Switched", True)) == ("Switched", (True,))
    assert sent(LAMP_SIDE.signal("/house/lamp", "Broke")) == ("Broke", ())
    changed: tuple[str, tuple[Any, ...]] = ("PropertiesChanged", (LAMP, {"Lit": ("b", False)}, []))
    assert sent(LAMP_SIDE.changed("/house/lamp", ["Lit"])) == changed


def test_ping() -> None:
    """Every object answers."""
    assert ask("org.freedesktop.DBus.Peer", "Ping") == ()


def introspected(path: str) -> ET.Element:
    """The description of the object at `path`."""
    answered = answer(OBJECTS, call(path, "org.freedesktop.DBus.Introspectable", "Introspect"))
    assert isinstance(answered, tuple)
    (xml,) = answered
    return ET.fromstring(xml)  # noqa: S314  our own


def test_introspection() -> None:
    """All that can be called, read and listened to is listed, with its types."""
    node = introspected("/house/lamp")
    assert [side.get("name") for side in node.iter("interface")] == [
        LAMP,
        PROPERTIES,
        "org.freedesktop.DBus.Peer",
        "org.freedesktop.DBus.Introspectable",
    ]
    lamp = node[0]
    assert [one.attrib for one in lamp.findall("property")] == [
        {"name": "Lit", "type": "b", "access": "read"},
        {"name": "Watts", "type": "u", "access": "read"},
    ]
    assert [one.attrib for one in lamp.findall("method[@name='Switch']/arg")] == [
        {"name": "on", "type": "b", "direction": "in"},
        {"name": "before", "type": "b", "direction": "out"},
    ]
    assert [one.attrib for one in lamp.findall("signal/arg")] == [{"name": "on", "type": "b"}]


@pytest.mark.parametrize(("path", "below"), [("/", ["house"]), ("/house", ["lamp"]), ("/house/lamp", [])])
def test_the_way_to_an_object(path: str, below: list[str]) -> None:
    """From the root on, every path tells what is below it."""
    assert [node.get("name") for node in introspected(path).findall("node")] == below
