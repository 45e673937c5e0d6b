from collections.abc import Iterator

import pytest

from fakes.control import fake_daemon, status
from fakes.waiting import wait_until
from sockslocal.control.client import Client
from sockslocal.paths import Paths
from sockslocal.status import Tunnel
from sockslocal_tray.watch import Seen, Watch

OFF = status(tunnel=Tunnel(on=False))


@pytest.fixture
def told() -> list[Seen]:
    """What was told."""
    return []


@pytest.fixture
def watch(paths: Paths, told: list[Seen]) -> Iterator[Watch]:
    """One that watches."""
    made = Watch(paths, told.append)
    made.start()
    yield made
    made.stop()


def expect(told: list[Seen], number: int) -> Seen:
    """The last of so many."""
    wait_until(lambda: len(told) >= number, seconds=10, what=f"{number} states; there are {told}")
    assert len(told) == number
    return told[-1]


def code(seen: Seen) -> str:
    """Why there is no status."""
    assert seen.status is None
    assert seen.absence is not None
    return seen.absence.code


@pytest.mark.usefixtures("watch")
def test_a_daemon_is_watched_from_its_start_to_its_end(paths: Paths, told: list[Seen]) -> None:
    """And the next one, too; the tray outlives them."""
    assert code(expect(told, 1)) == "not-running"
    with fake_daemon(paths) as daemon:
        assert expect(told, 2) == Seen(status())
        daemon.set(OFF)
        assert expect(told, 3) == Seen(OFF)
    assert code(expect(told, 4)) == "not-running"
    with fake_daemon(paths, first=OFF):
        assert expect(told, 5) == Seen(OFF)
    expect(told, 6)


def test_what_is_over_is_not_told(paths: Paths, told: list[Seen], watch: Watch) -> None:
    """Nobody is there to be told."""
    expect(told, 1)
    watch.stop()
    with fake_daemon(paths):
        assert len(told) == 1


def test_a_failure_of_ours_is_told_as_one(
    paths: Paths, told: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on: it is what keeps the icon true."""

    def fail(_client: Client) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Client, "watch", fail)
    watch = Watch(paths, told.append)
    watch.start()
    assert code(expect(told, 1)) == "internal"
    watch.stop()
