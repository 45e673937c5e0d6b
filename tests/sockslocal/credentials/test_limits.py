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
        (b"\n", ""),
        (b"pw\n", "pw"),
        (b"pw\r\n", "pw"),
        (b" p w \n", " p w "),
        (b"\xef\xbb\xbfpw\r\n", "pw"),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
)
def test_how_an_editor_frames_a_line_is_not_of_the_password(content: bytes, text: str) -> None:
    """Neither its end, in either form, nor a byte order mark; everything else is."""
    assert decode(content, server="office").reveal() == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "there is none"), (b"pw\n\n", "several lines"), (b"pw\nuser: ana\n", "several lines")],
)
def test_what_is_no_line_is_no_password(content: bytes, reason: str) -> None:
    """A file that was not written yet, or holds more, is told as that; the server would only refuse it."""
    with pytest.raises(CredentialsError, match=reason):
        decode(content, server="office")


def test_several_lines_are_no_wrong_password() -> None:
    """What mends it is to leave one of them."""
    with pytest.raises(CredentialsError) as caught:
        decode(b"pw\nuser: ana\n", server="office")
    remedy = "leave just one line, the password, where password_from of [server.office] says it is"
    assert caught.value.problem.remedy == remedy


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_told_as_that(encoding: str) -> None:
    """Though it has an octet that ends lines; Windows writes it so."""
    with pytest.raises(CredentialsError, match="it is not UTF-8 text but UTF-16") as caught:
        decode("\ufeffpw\r\n".encode(encoding), server="office")
    assert caught.value.problem.remedy.startswith("save it as UTF-8")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    """A Latin-1 file is told as what it is, instead of being sent in another encoding than the user typed."""
    with pytest.raises(CredentialsError, match="it is not UTF-8 text"):
        decode("päss".encode("latin-1"), server="office")
