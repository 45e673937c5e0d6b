from pathlib import Path

import pytest

from sockslocal.net import profiles
from sockslocal.net.profile import Profile
from sockslocal.net.profiles import MAX_PROFILES, ProfileStore

KNOWN = Profile(rung="uot-v2", methods=("password",), rtt_ms=12.5, tested_at=1_700_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the profiles are kept, in a folder that is not there yet."""
    return tmp_path / "state" / "profiles.json"


def test_nothing_is_known_at_first(path: Path) -> None:
    """And to ask leaves no file."""
    assert ProfileStore(path).get("proxy:1080") == Profile()
    assert not path.exists()


def test_profiles_outlive_the_process(path: Path) -> None:
    """Each server has its own."""
    store = ProfileStore(path)
    store.put("proxy:1080", KNOWN)
    store.put("other:1080", Profile(rung="none"))
    again = ProfileStore(path)
    assert again.get("proxy:1080") == KNOWN
    assert again.get("other:1080").rung == "none"


def test_the_file_is_the_users_own(path: Path) -> None:
    """Nobody else reads or writes it."""
    ProfileStore(path).put("proxy:1080", KNOWN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_known_already_costs_nothing(path: Path) -> None:
    """Whoever uses a server may tell again and again what it does."""
    store = ProfileStore(path)
    store.put("proxy:1080", Profile())
    assert not path.exists()
    store.put("proxy:1080", KNOWN)
    path.unlink()
    store.put("proxy:1080", KNOWN.replace())
    assert not path.exists()


def test_the_store_is_bounded(path: Path) -> None:
    """Who was touched longest ago goes, in the file too."""
    store = ProfileStore(path)
    for number in range(MAX_PROFILES):
        store.put(f"{number}:1080", KNOWN)
    store.put("0:1080", KNOWN.replace(rung="gost"))
    store.put("new:1080", KNOWN)
    again = ProfileStore(path)
    assert again.get("1:1080") == Profile()
    assert again.get("0:1080").rung == "gost"
    assert again.get("new:1080") == KNOWN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"profiles": 7}',
        b'{"profiles": {"proxy:1080": {"rung": "teleport"}}}',
        b"\xff\xfe",
        b'{"x": ' + b"[" * 100_000,
        b" " * 300_000,
    ],
)
def test_a_file_that_cannot_be_read_is_replaced(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why; what is learned next is kept."""
    path.parent.mkdir()
    path.write_bytes(content)
    store = ProfileStore(path)
    assert store.get("proxy:1080") == Profile()
    assert "learned anew" in caplog.text
    store.put("proxy:1080", KNOWN)
    assert ProfileStore(path).get("proxy:1080") == KNOWN


def test_facts_of_a_newer_version_are_passed_over(path: Path) -> None:
    """They do not cost the others."""
    path.parent.mkdir()
    path.write_bytes(b'{"version": 2, "profiles": {"proxy:1080": {"rung": "hev", "colour": "blue"}}}')
    assert ProfileStore(path).get("proxy:1080") == Profile(rung="hev")


def test_a_profile_is_used_where_it_cannot_be_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, or a file in place of the folder."""
    path.parent.write_text("in the way")
    store = ProfileStore(path)
    store.put("proxy:1080", KNOWN)
    assert store.get("proxy:1080") == KNOWN
    assert "cannot be written" in caplog.text


def test_the_largest_store_can_be_read_again(path: Path) -> None:
    """With the longest names that an address may have, and users of a few words."""
    store = ProfileStore(path)
    for number in range(MAX_PROFILES):
        store.put(f"{'u' * 255}@{'n' * 250}{number}:1080 tls:{'t' * 253}", KNOWN)
    assert path.stat().st_size < profiles.MAX_BYTES
    assert len(ProfileStore(path)._profiles) == MAX_PROFILES
