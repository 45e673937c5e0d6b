import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.config.lines import Where, line_of, mentions

TEXT = '''\
# [not.a.table]
title = "one"   # a comment with = and [
[server.office]
address = "a # no comment"
"quoted \\u0041.key" = 'lit " eral'
'lit' . bare = 1

  [tcp . db]  # indented
listen = [
  "127.0.0.1:1", # first ]
  # between
  "127.0.0.1:2"
]
to = """
[not.a.table]
x = 1 \\""" ""\\
"""""
raw = \'\'\'
y = 2 '' \'\'\'\'\'
inline = { a = 1, b.c = [ {d = 2}, 3 ] }
date = 1979-05-27 07:32:00Z # comment
deep.er.and.deeper.still = [[1, "]"], {x = "}"}]
[[list]]
n = -1.5e3
[[list]]
n = inf
'''


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("title",), 2),
        (("server", "office"), 3),
        (("server",), 3),
        (("server", "office", "address"), 4),
        (("server", "office", "quoted A.key"), 5),
        (("server", "office", "lit", "bare"), 6),
        (("tcp", "db"), 8),
        (("tcp", "db", "listen"), 9),
        (("tcp", "db", "listen", 0), 10),
        (("tcp", "db", "listen", 1), 12),
        (("tcp", "db", "to"), 14),
        (("tcp", "db", "raw"), 18),
        (("tcp", "db", "inline"), 20),
        (("tcp", "db", "inline", "b"), 20),
        (("tcp", "db", "date"), 21),
        (("tcp", "db", "deep", "er"), 22),
        (("tcp", "db", "deep", "er", "and", "deeper"), 22),
        (("list",), 23),
        (("list", "n"), 24),
    ],
)
def test_finds_the_line(where: Where, line: int) -> None:
    """Every way to write a key is found; what looks like one in a text or a comment is not."""
    tomllib.loads(TEXT)
    assert line_of(TEXT, mentions(TEXT), where) == line
    windows = TEXT.replace("\n", "\r\n")
    assert line_of(windows, mentions(windows), where) == line


@pytest.mark.parametrize(
    ("where", "line"),
    [(("tcp", "db", "absent"), 8), (("tcp", "absent"), 8), (("absent", "db"), None), ((), None)],
)
def test_nearest_line(where: Where, line: int | None) -> None:
    """What is missing is told at the table that lacks it, or nowhere."""
    assert line_of(TEXT, mentions(TEXT), where) == line


def test_mentions_cut_out_what_they_name() -> None:
    """The offsets of a value are those of its text, be it one that spans lines."""
    cut = {mention.where: TEXT[mention.value : mention.end] for mention in mentions(TEXT)}
    assert cut["title",] == '"one"'
    assert cut["tcp", "db", "listen", 1] == '"127.0.0.1:2"'
    assert cut["tcp", "db", "raw"] == "'''\ny = 2 '' '''''"
    assert cut["tcp", "db", "inline"] == "{ a = 1, b.c = [ {d = 2}, 3 ] }"
    assert cut["tcp", "db", "date"] == "1979-05-27 07:32:00Z"
    assert cut["tcp", "db", "deep", "er"] == '[[1, "]"], {x = "}"}]'
    assert cut["list", "n"] == "inf"
    assert cut["tcp", "db"] == ""


def test_no_text_speaks_of_nothing() -> None:
    """An empty file, and one with comments only, mention nothing."""
    assert mentions("") == mentions(" # x\r\n\n#") == []


def test_deep_nesting_costs_no_stack() -> None:
    """What `tomllib` could read is walked through however deep it is."""
    text = f"a = {'[' * 400}{']' * 400}\nb = 1\n"
    tomllib.loads(text)
    assert line_of(text, mentions(text), ("b",)) == 2


_SCALARS = st.sampled_from(
    [
        "1",
        "true",
        '"a#]}\\""',
        "'[{='",
        '"""\n"a"\\\n""b"""""',
        "'''\n''x'''",
        "1979-05-27 07:32:00",
        "0xff",
        "inf",
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{' , '.join(items)} # ]\n]")
        | st.lists(inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"k{place} = {item}" for place, item in enumerate(items)) + " }"
        )
    ),
    max_leaves=6,
)
_KEYS = st.sampled_from(["a", "b-1", '"c d"', "'e.f'", 'g . "h#"', "i.j.k.l.m.n"])


@given(st.lists(st.tuples(st.booleans(), _KEYS, _VALUES), max_size=6))
def test_agrees_with_tomllib(parts: list[tuple[bool, str, str]]) -> None:
    """Whatever `tomllib` accepts is walked through to its end, and each mention is what it says."""
    lines = [
        f"[t{n}.{key}]" if header else f"{key} = {value}" for n, (header, key, value) in enumerate(parts)
    ]
    text = "\n".join(lines)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for mention in mentions(text):
        found: Any = document
        for step in mention.where:
            found = found[step]
        if len(mention.where) < 4 and mention.value < mention.end:
            assert found == tomllib.loads(f"x = {text[mention.value : mention.end]}")["x"]
