"""Invariant: whatever comes from the session bus is answered, refused or passed over, without an error."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from fakes.dbus_messages import call, octets
from fakes.pieces import cut
from sockslocal_tray.base import Menu, MenuItem
from sockslocal_tray.sni import dbusmenu, item
from sockslocal_tray.sni.dbusmenu import DBusMenu
from sockslocal_tray.sni.inbox import Inbox, NoMessagesError
from sockslocal_tray.sni.item import Item
from sockslocal_tray.sni.objects import Objects
from sockslocal_tray.sni.rows import rows

MENU = DBusMenu(lambda _: None, lambda _: None)
MENU.show(rows(Menu(MenuItem("a", None), MenuItem("b", Menu(MenuItem("c", None))))))
ITEM = Item("fuzz", lambda _: None, on_click=lambda: None, on_middle_click=lambda: None)
OBJECTS = Objects({item.PATH: ITEM.interface, dbusmenu.PATH: MENU.interface})

numbers = st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 4)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
variants = st.tuples(st.just("i"), numbers) | st.tuples(st.just("s"), texts)
events = st.tuples(numbers, st.just("clicked") | texts, variants, st.just(0))

calls = st.one_of(
    st.tuples(st.just("GetLayout"), st.just("iias"), numbers, numbers, st.lists(texts)),
    st.tuples(st.just("GetGroupProperties"), st.just("aias"), st.lists(numbers), st.lists(texts)),
    st.tuples(st.just("GetProperty"), st.just("is"), numbers, texts),
    st.tuples(st.just("EventGroup"), st.just("a(isvu)"), st.lists(events)),
    st.tuples(st.just("AboutToShowGroup"), st.just("ai"), st.lists(numbers)),
    st.tuples(
        st.sampled_from(["Activate", "Scroll", "Get", "Ping", "Nothing"]), st.just("ii"), numbers, numbers
    ),
)


@given(st.sampled_from([item.PATH, dbusmenu.PATH, "/", "/else"]), calls)
def test_calls(path: str, method: tuple[str, str, object]) -> None:
    """Proper messages with any content: each has a reply, and the bus takes it."""
    reply = OBJECTS.answer(call(path, None, *method))
    assert reply is not None
    assert octets(reply)


@given(st.data())
def test_broken_messages(data: st.DataObject) -> None:
    """Messages with some octets replaced, in pieces: those that can be read are answered."""
    good = call(dbusmenu.PATH, "com.canonical.dbusmenu", *data.draw(calls)).message
    stream = bytearray(octets(good) * 2)
    for at, octet in data.draw(st.dictionaries(st.integers(0, len(stream) - 1), st.integers(0, 255))).items():
        stream[at] = octet
    inbox = Inbox()
    with suppress(NoMessagesError):
        for piece in cut(bytes(stream), data.draw(st.lists(st.integers(0, len(stream)), max_size=4))):
            for incoming in inbox.feed(piece):
                reply = OBJECTS.answer(incoming)
                assert reply is None or octets(reply)


@given(st.binary(max_size=400))
def test_anything(stream: bytes) -> None:
    """What is no D-Bus at all."""
    with suppress(NoMessagesError):
        list(Inbox().feed(stream))
