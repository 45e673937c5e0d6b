import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.quoting import MAX_SHOWN, hide_userinfo, listed, quote, quote_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", '""'),
        ("db", '"db"'),
        ("käyrä", '"käyrä"'),
        ("a\nb\x1b[2J", '"a\\nb\\x1b[2J"'),
        ("ana:pw@proxy:1080", '"•••@proxy:1080"'),
        ("ana:p@w/x@proxy:1080", '"•••@proxy:1080"'),
        ("socks5://ana:p@w@proxy", '"socks5://•••@proxy"'),
        ("socks5://proxy", '"socks5://proxy"'),
        ("1://ana@x", '"•••@x"'),
        ("unix:/run/ana@home", '"unix:/run/ana@home"'),
        ("x" * 80, f'"{"x" * 80}"'),
        ("x" * 81, f'"{"x" * 80}…"'),
    ],
)
def test_quote(text: str, shown: str) -> None:
    """A text is shown on one line, of bounded length, without what may be a password."""
    assert quote(text) == shown


def test_quote_name() -> None:
    """A user may be called like a mail address, and may be called anything."""
    assert quote_name("ana@example.org") == '"ana@example.org"'
    assert quote_name("a\nb") == '"a\\nb"'
    assert quote_name("@" * 81) == f'"{"@" * 80}…"'


def test_listed() -> None:
    """Names are listed as far as somebody reads."""
    names = [f"n{number}" for number in range(12)]
    assert listed([]) == ""
    assert listed(["a", "b\n"]) == '"a", "b\\n"'
    assert listed(dict.fromkeys(names[:10])).endswith('"n8", "n9"')
    assert listed(names).endswith('"n8", "n9" and 2 more')


@given(st.text(), st.text())
def test_nothing_before_an_at(before: str, after: str) -> None:
    """What is cut off or hidden is never what stands behind the last `@`, nor is the rest ever shown."""
    text = f"Zq{before}@{after}"
    assert "Zq" not in hide_userinfo(text).replace(after, "")
    assert quote(text).isprintable()
    assert len(quote(text)) <= 10 * MAX_SHOWN + 3
