from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.control import status
from sockslocal import credentials
from sockslocal.doctor.passwords import section
from sockslocal.doctor.scene import Scene
from sockslocal.status import Server

Make = Callable[..., Scene]
CANARY = "canary-9fe1c7"


def config(source: str) -> str:
    """One server whose password is there."""
    return f'[server.office]\naddress = "proxy:1080"\nusername = "ana"\npassword_from = "{source}"\n'


def test_none_is_needed(scene: Make) -> None:
    """Nobody is asked then."""
    (check,) = section(scene('[server.office]\naddress = "proxy:1080"\n')).checks
    assert (check.id, check.verdict) == ("keyring", "good")


def test_one_that_can_be_had(scene: Make, tmp_path: Path) -> None:
    """It is read by a child, and not told."""
    path = tmp_path / "password"
    path.write_text(CANARY)
    path.chmod(0o600)
    (check,) = section(scene(config(f"file:{path}"))).checks
    assert (check.id, check.verdict) == ("keyring.office", "good")
    assert check.text == f"{path} has the password of ana"


@pytest.mark.parametrize(("state", "verdict"), [("up", "note"), ("auth-failed", "bad")])
def test_one_that_cannot(scene: Make, state: str, verdict: str) -> None:
    """The daemon that has it already does not need it now."""
    running = status(servers={"office": Server("proxy:1080", state)})  # type: ignore[arg-type]  # one of them
    (check,) = section(scene(config("file:/nowhere"), status=running)).checks
    assert (check.id, check.verdict) == ("keyring.office", verdict)
    assert "/nowhere" in check.text
    assert section(scene(config("file:/nowhere"))).verdict == "bad"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (f"command:touch {CANARY}", 'the command "touch" was not run'),
        ("prompt", "it is asked for when sockslocal starts"),
        ("systemd:office", "only the service"),
    ],
)
def test_one_that_is_not_tried(scene: Make, source: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may ask the person; its arguments are nobody's business."""
    monkeypatch.setattr(credentials, "read", None)
    (check,) = section(scene(config(source))).checks
    assert check.verdict == "unknown"
    assert check.text.startswith(text)
    assert CANARY not in check.text
