import copy
import dataclasses
import json
import pickle
import traceback

import msgspec
import pytest

from sockslocal import log
from sockslocal.secret import Secret

CANARY = "Zq@:/%d\nkäyrä"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Secret:
    """A password, concealed for the time of the test."""
    monkeypatch.setattr(log, "_concealed", {})
    monkeypatch.setattr(log, "_any_concealed", None)
    return Secret(CANARY)


def test_reveals_itself_when_asked(secret: Secret) -> None:
    """The code that needs the text gets it as it was."""
    assert secret.reveal() == CANARY


def test_does_not_show_itself(secret: Secret) -> None:
    """No way to print a thing prints a secret, alone or within others."""

    @dataclasses.dataclass
    class _Holder:
        password: Secret

    shown = [str(secret), repr(secret), ascii([secret]), f"{secret}", "%s %r" % (secret, secret)]  # noqa: UP031
    shown += [f"{_Holder(secret)}", str({secret: secret}), str(ValueError(secret))]
    assert "•••" in shown[0]
    assert not any("Zq" in text for text in shown)
    assert not hasattr(secret, "__dict__")


def test_does_not_travel(secret: Secret) -> None:
    """Nothing that would store or send a thing stores or sends a secret, nor shows it when it refuses."""
    for send in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as caught:
            send(secret)
        assert "Zq" not in "".join(traceback.format_exception(caught.value))


def test_is_concealed_in_the_log(secret: Secret) -> None:
    """From the moment it exists, no log line shows it."""
    assert log.scrub(f"got {secret.reveal()!r}") == "got '•••'"


def test_compares_by_text(secret: Secret) -> None:
    """A password that was read again is the same one."""
    assert secret == Secret(CANARY)
    assert hash(secret) == hash(Secret(CANARY))
    assert secret != Secret("another")
    assert secret != CANARY
