import shutil

import pytest

from sockslocal.address import Endpoint
from sockslocal.cli.first_run.plan import ForwardAnswer
from sockslocal.cli.first_run.try_it import command


def forward(port: int, kind: str = "tcp") -> ForwardAnswer:
    """One to `port` of a machine there."""
    return ForwardAnswer(kind=kind, name="x", port=12345, to=Endpoint("db.internal", port))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (forward(22), "ssh -p 12345 127.0.0.1"),
        (forward(443), "curl -i --connect-to ::127.0.0.1:12345 https://db.internal/"),
        (forward(5432), "psql -h 127.0.0.1 -p 12345"),
        (forward(7777), "nc 127.0.0.1 12345"),
        (forward(22, "udp"), "nc -u 127.0.0.1 12345"),
    ],
)
def test_what_speaks_with_what_is_there(
    monkeypatch: pytest.MonkeyPatch, answer: ForwardAnswer, expected: str
) -> None:
    """By the port that it leads to."""
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    assert command(answer, None) == expected


def test_only_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else something plainer, else nothing."""
    monkeypatch.setattr(shutil, "which", lambda program: "/bin/nc" if program == "nc" else None)
    assert command(forward(22), None) == "nc 127.0.0.1 12345"
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    assert command(forward(22), None) == ""


def test_without_a_forward() -> None:
    """The resolver, or just how it is."""
    assert command(None, 5399) == "sockslocal dns query example.com"
    assert command(None, None) == "sockslocal status"
