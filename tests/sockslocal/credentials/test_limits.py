import pytest

from sockslocal.credentials.limits import check, decode
from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret


def refusal(text: str) -> CredentialsError:
    """What `check` raises for `text`."""
    with pytest.raises(CredentialsError) as caught:
        check(Secret(text), server="office")
    return caught.value


@pytest.mark.parametrize(
    "text", ["", "x", "x" * 127, "x" * 128, "x" * 255, "ä" * 127 + "x", "@:/%\n\t ", "密码🔑"]
)
def test_up_to_255_octets_can_be_sent(text: str) -> None:
    """What RFC 1929's length octet can count passes unchanged, the empty one included."""
    assert check(Secret(text), server="office").reveal() == text


@pytest.mark.parametrize(
    ("text", "octets"), [("x" * 256, 256), ("ä" * 128, 256), ("🔑" * 64, 256), ("x" * 9000, 9000)]
)
def test_more_octets_are_counted_in_the_error(text: str, octets: int) -> None:
    """The error counts octets of UTF-8, not characters, and shows none of them."""
    problem = refusal(text).problem
    assert problem.code == "password-invalid"
    assert f"it has {octets} octets" in problem.text
    assert text[:8] not in str(problem)


def test_a_lone_surrogate_cannot_be_sent() -> None:
    """A terminal that is not UTF-8 gives surrogates; the error does not carry them along."""
    error = refusal("geheim\udc80")
    assert "it is not UTF-8 text" in error.problem.text
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"pw", "pw"),
        (b"pw\n", "pw"),
        (b"pw\n\n", "pw\n"),
        (b" p w \n", " p w "),
        (b"pw\r\n", "pw\r"),
        (b"\n", ""),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
)
def test_one_newline_at_the_end_is_not_of_the_password(content: bytes, text: str) -> None:
    """Editors and `echo` end a line; everything else is the password."""
    assert decode(content, server="office").reveal() == text


def test_a_native_newline_is_one_newline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines end in CR LF, both characters go, and a lone LF does too."""
    monkeypatch.setattr("os.linesep", "\r\n")
    assert decode(b"pw\r\n", server="office").reveal() == "pw"
    assert decode(b"pw\n", server="office").reveal() == "pw"


def test_bytes_that_are_not_utf8_are_refused() -> None:
    """A Latin-1 file is told as what it is, instead of being sent in another encoding than the user typed."""
    with pytest.raises(CredentialsError, match="it is not UTF-8 text"):
        decode("päss".encode("latin-1"), server="office")
