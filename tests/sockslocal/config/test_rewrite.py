import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.config.rewrite import moved_before, newline_of, rendered, rendered_key, with_value, without

TEXT = """\
# about the file
[tcp.db]       # header
# about listen
listen = "old" # why
to   = [
  "a",  # one
]

# about web

[tcp.web]
listen = "x"

[udp.u]
listen = "y"
# about more of tcp
[tcp.more]
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_value_in_place(newline: str) -> None:
    """Only the value changes, not what is beside it, be it one that spans lines."""
    text = TEXT.replace("\n", newline)
    assert with_value(text, ("tcp", "db"), "listen", '"new"') == text.replace('"old"', '"new"')
    spans = f'[{newline}  "a",  # one{newline}]'
    assert with_value(text, ("tcp", "db"), "to", '"b"') == text.replace(spans, '"b"')


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_value_anew(newline: str) -> None:
    """A new key stands below the last one of its table."""
    text = TEXT.replace("\n", newline)
    assert with_value(text, ("tcp", "db"), "server", '"s"') == text.replace(
        f"]{newline}{newline}# about web", f']{newline}server = "s"{newline}{newline}# about web'
    )
    assert with_value(text, ("tcp", "more"), "to", "1") == f"{text[: -len(newline)]}{newline}to = 1{newline}"
    assert with_value("[tcp.a]", ("tcp", "a"), "to", "1") == "[tcp.a]\nto = 1"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("db", TEXT[TEXT.index("[tcp.db]") : TEXT.index("\n# about web")]),
        ("web", '[tcp.web]\nlisten = "x"\n\n'),
        ("more", "[tcp.more]\n"),
    ],
)
def test_table_goes(name: str, gone: str, newline: str) -> None:
    """A table goes with what is in it; the comments above it and above the next one stay."""
    text, gone = TEXT.replace("\n", newline), gone.replace("\n", newline)
    assert without(text, ("tcp", name)) == text.replace(gone, "")


def test_key_goes() -> None:
    """A key goes with its line, or its lines, and the comment beside it."""
    assert without(TEXT, ("tcp", "db", "listen")) == TEXT.replace('listen = "old" # why\n', "")
    assert without(TEXT, ("tcp", "db", "to")) == TEXT.replace('to   = [\n  "a",  # one\n]\n', "")
    assert without("a = 1", ("a",)) == ""


def test_scattered_table_goes() -> None:
    """A table that is written in several places goes from all of them."""
    text = "tcp.a.to = 1\ntcp.b.to = 2\ntcp.a.listen = 3\n[x]\n\n[tcp.a.sub]\n\n[y]\n"
    assert without(text, ("tcp", "a")) == "tcp.b.to = 2\n[x]\n\n[y]\n"


def test_absent_goes() -> None:
    """What is not there is not missed."""
    assert without(TEXT, ("tcp", "absent")) == TEXT


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.text()) | st.booleans())
def test_rendered(value: str | list[str] | bool) -> None:  # noqa: FBT001  one of the values
    """Whatever is written reads as what was meant."""
    assert tomllib.loads(f"x = {rendered(value)}") == {"x": value}


@given(st.text())
def test_rendered_key(key: str) -> None:
    """Any text can be a key."""
    assert tomllib.loads(f"{rendered_key(key)} = 1") == {key: 1}


@pytest.mark.parametrize(("text", "newline"), [("", "\n"), ("a", "\n"), ("a\nb", "\n"), ("a\r\n", "\r\n")])
def test_newline(text: str, newline: str) -> None:
    """A file keeps the line break it has."""
    assert newline_of(text) == newline


ORDER = """\
# first

# one
# and more
[server.one]
a = 1
# b = 2

# two
[server.two]
a = 1
# three
[server.three]
a = 1
  # c = 3"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "moved", "rest"),
    [
        ("two", "# two\n[server.two]\na = 1", "# three\n[server.three]\na = 1\n  # c = 3"),
        ("three", "# three\n[server.three]\na = 1\n  # c = 3", "# two\n[server.two]\na = 1\n"),
    ],
)
def test_a_table_moves_with_its_comments(name: str, moved: str, rest: str, newline: str) -> None:
    """Those above it, and those below it unless they are about the next one."""
    expected = f"# first\n\n{moved}\n\n# one\n# and more\n[server.one]\na = 1\n# b = 2\n\n{rest}"
    text = ORDER.replace("\n", newline)
    assert moved_before(text, ("server", name), ("server", "one")) == expected.replace("\n", newline)


def test_a_table_moves_to_the_top() -> None:
    """Where nothing is above the first one, an empty line parts them."""
    text = "[server.one]\na = 1\n[server.two]\na = 1\n"
    moved = moved_before(text, ("server", "two"), ("server", "one"))
    assert moved == "[server.two]\na = 1\n\n[server.one]\na = 1\n"
