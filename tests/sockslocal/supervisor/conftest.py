"""A server, and a supervisor that is closed at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.engine import run as run_engine
from fakes.engine import until
from fakes.socks5_server import FakeServer
from fakes.supervised import Made, Run, Test
from sockslocal.net.engine import Engine


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a test with a supervisor, which is closed at the end."""

    def run_test(test: Test) -> None:
        async def main(engine: Engine) -> None:
            made = Made(engine, tmp_path)
            await test(made)
            await made.supervisor.close()
            await until(lambda: not engine.poller._handlers, "all is closed")

        run_engine(main)

    return run_test
