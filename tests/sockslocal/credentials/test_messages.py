import msgspec
import pytest

from sockslocal.config.model import PasswordKind
from sockslocal.credentials import messages
from sockslocal.credentials.messages import Answer, Request
from sockslocal.problems import problem
from sockslocal.secret import Secret

CANARY = 'k@n:a/r%i"e\n\\ vögel🐤'


def request(source: PasswordKind = "keyring", argument: str = "", password: Secret | None = None) -> Request:
    """A request of `ana` at `office`."""
    return Request(
        action="store",
        server="office",
        username="ana",
        source=source,
        argument=argument,
        deadline=3,
        password=password,
    )


def test_a_request_arrives_as_it_was_sent() -> None:
    """Every character of a password survives the way."""
    sent = request(password=Secret(CANARY))
    assert messages.decode_request(messages.encode(sent)) == sent


def test_an_answer_arrives_as_it_was_sent() -> None:
    """So do the password that comes back, a problem, and nothing."""
    failure = problem("needs-unlock", server="office", reason="is locked")
    for sent in (Answer(password=Secret(CANARY)), Answer(problem=failure), Answer()):
        assert messages.decode_answer(messages.encode(sent)) == sent


def test_neither_shows_the_password() -> None:
    """They may end up in a traceback's locals."""
    assert "k@n" not in repr(request(password=Secret(CANARY)))
    assert "k@n" not in repr(Answer(password=Secret(CANARY)))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"password":["k@n"]}', b'{"problem":{}}', b"\xff"])
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    """A child gone wrong raises one kind of error, which shows nothing of what it said."""
    with pytest.raises(msgspec.MsgspecError) as caught:
        messages.decode_answer(content)
    assert "k@n" not in str(caught.value)


def test_only_secrets_have_a_form_of_their_own() -> None:
    """Anything else that JSON does not know is a mistake in this program."""
    with pytest.raises(NotImplementedError):
        messages.encode({"password": object()})


def test_the_place_is_the_source_s_own() -> None:
    """So a command is told without its arguments here too."""
    assert request("command", "echo k@n").place == 'the command "echo"'


def test_the_keyring_knows_a_server_by_its_name() -> None:
    """Two servers never share an entry, whatever their user names are."""
    assert request().service == "sockslocal:office"
