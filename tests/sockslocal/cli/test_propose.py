from pathlib import Path

import pytest

from sockslocal.cli.propose import spelled
from sockslocal.paths import Paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sockslocal start", "sockslocal --config '/a b.toml' start"),
        (
            "unlock the keyring, or: sockslocal login office",
            "unlock the keyring, or: sockslocal --config '/a b.toml' login office",
        ),
        (
            "sockslocal forward set db --listen 127.0.0.1:1",
            "sockslocal --config '/a b.toml' forward set db --listen 127.0.0.1:1",
        ),
        ("sockslocal status", "sockslocal status"),
        ("sockslocal on dns", "sockslocal on dns"),
        ("sockslocal forward add --help", "sockslocal forward add --help"),
        ("check that sockslocal runs", "check that sockslocal runs"),
    ],
)
def test_a_command_names_the_file_that_it_is_for(paths: Paths, text: str, expected: str) -> None:
    """Where it reads one, and would else read another."""
    assert spelled(text, Path("/a b.toml")) == expected
    assert spelled(text, paths.config) == text


def test_a_file_by_another_name_is_the_same(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, or by way of a link; it need not be there."""
    monkeypatch.chdir(paths.config.parent)
    assert spelled("sockslocal start", Path("config.toml")) == "sockslocal start"
    Path("link.toml").symlink_to("config.toml")
    assert spelled("sockslocal start", Path("link.toml")) == "sockslocal start"
    assert spelled("sockslocal start", Path("other.toml")) == "sockslocal --config other.toml start"
