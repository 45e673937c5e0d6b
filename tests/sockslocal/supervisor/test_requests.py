import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.engine import run as run_engine
from integration.servers.process import free_port
from sockslocal.config.load import load
from sockslocal.control.messages import VERBS
from sockslocal.errors import ConfigError, ControlError, SockslocalError
from sockslocal.net.engine import Engine
from sockslocal.secret import Secret
from sockslocal.status import Status
from sockslocal.supervisor import Supervisor, Switches
from sockslocal.supervisor.requests import Handler, Requests


class Made:
    """The table of requests, and what was done."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.config = folder / "config.toml"
        self.config.write_text('[server.office]\naddress = "127.0.0.1:1"\nusername = "ana"\n')
        self.config.chmod(0o600)
        self.graces: list[float] = []
        self.readings = 0
        self.supervisor = Supervisor(engine, Switches(folder / "switches.json"), self._read)
        self.supervisor.apply(load(self.config))
        self.table: dict[str, Handler] = Requests(self.supervisor, self.graces.append).table()

    async def ask(self, verb: str, **parameters: Any) -> Any:
        """The answer, or the error raised."""
        return await self.table[verb](parameters)

    async def _read(self, _config: object) -> Secret:
        self.readings += 1
        return Secret("hunter2")


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Made], Awaitable[None]]], None]:
    """Runs a test with a table of requests."""

    def run_test(test: Callable[[Made], Awaitable[None]]) -> None:
        async def main(engine: Engine) -> None:
            made = Made(engine, tmp_path)
            await test(made)
            await made.supervisor.close()

        run_engine(main)

    return run_test


Run = Callable[[Callable[[Made], Awaitable[None]]], None]


def test_every_verb_is_answered(run: Run) -> None:
    """All of the protocol's but `watch`, which the control server serves by itself."""

    async def test(made: Made) -> None:
        assert set(made.table) == set(VERBS) - {"watch"}

    run(test)


def test_the_status(run: Run) -> None:
    """The picture as it is."""

    async def test(made: Made) -> None:
        status = await made.ask("status")
        assert isinstance(status, Status)
        assert list(status.servers) == ["office"]

    run(test)


def test_switching_answers_with_the_new_picture(run: Run) -> None:
    """The tunnel as a whole, forwards by name."""

    async def test(made: Made) -> None:
        assert (await made.ask("off", names=[])).tunnel.on is False
        assert (await made.ask("on", names=[])).tunnel.on is True
        for verb, parameters in (
            ("on", {"names": ["db"]}),
            ("off", {"names": ["db"]}),
            ("forward.on", {"name": "db"}),
            ("forward.off", {"name": "db"}),
        ):
            with pytest.raises(ControlError) as caught:
                await made.ask(verb, **parameters)
            assert caught.value.problem.text == 'there is no forward "db"; none is configured'

    run(test)


def test_reloading_names_what_changed(run: Run) -> None:
    """A file that cannot be used is an error, whose text has its line."""

    async def test(made: Made) -> None:
        assert await made.ask("reload") == {"changed": []}
        with made.config.open("a") as file:
            file.write('[tcp.db]\nlisten = "127.0.0.1:5432"\nto = "db.internal:5432"\nenabled = false\n')
        assert await made.ask("reload") == {"changed": ["db"]}
        with made.config.open("a") as file:
            file.write("nonsense = true\n")
        with pytest.raises(ConfigError) as caught:
            await made.ask("reload")
        assert f"{made.config}:8: " in caught.value.problem.text

    run(test)


def test_stopping_is_only_begun(run: Run) -> None:
    """The answer has to leave before the end."""

    async def test(made: Made) -> None:
        assert await made.ask("stop", grace=2.5) is True
        assert made.graces == [2.5]

    run(test)


def test_changed_credentials_are_read_again(run: Run) -> None:
    """Of a server that is configured."""

    async def test(made: Made) -> None:
        status = await made.ask("credentials.changed", server="office")
        assert status.servers["office"].state == "connecting"
        with pytest.raises(ControlError) as caught:
            await made.ask("credentials.changed", server="home")
        assert caught.value.problem.text == 'there is no server "home"; known are "office"'

    run(test)


def test_a_server_is_tested(run: Run) -> None:
    """One that is configured, while the tunnel is on; what is wrong with it is the answer then."""

    async def why(made: Made, name: str) -> str:
        with pytest.raises(SockslocalError) as caught:
            await made.ask("server.test", name=name)
        return caught.value.problem.code

    async def test(made: Made) -> None:
        assert await why(made, "office") == "server-unreachable"
        assert await why(made, "home") == "unknown-name"
        await made.ask("off", names=[])
        assert await why(made, "office") == "tunnel-off"

    run(test)


def test_why_there_is_no_resolver(run: Run) -> None:
    """What is told is what mends it: the configuration, either switch, or the port."""
    port = free_port()

    async def why(made: Made) -> str:
        with pytest.raises(ControlError) as caught:
            await made.ask("dns.query", name="www.example", type="A")
        return caught.value.problem.remedy

    async def test(made: Made) -> None:
        without = made.config.read_text()
        table = f'[dns]\nlisten = "127.0.0.1:{port}"\nupstreams = ["udp://192.0.2.53"]\n'
        assert (await why(made)).startswith("add [dns] to it")
        with pytest.raises(ControlError, match=r"has no \[dns\]"):
            await made.ask("on", names=["dns"])
        made.config.write_text(f"{without}{table}enabled = false\n")
        await made.ask("reload")
        assert await why(made) == "remove enabled = false from [dns]"
        made.config.write_text(without + table)
        with socket.create_server(("127.0.0.1", port)):
            await made.ask("reload")
            assert "listen" in await why(made)
        await made.ask("off", names=["dns"])
        assert await why(made) == "sockslocal on dns"
        await made.ask("off", names=[])
        assert await why(made) == "sockslocal on"

    run(test)


def test_questions_to_a_resolver_that_is_not_there(run: Run) -> None:
    """Each says so."""

    async def test(made: Made) -> None:
        for verb, parameters in (
            ("dns.query", {"name": "www.example", "type": "A"}),
            ("dns.flush", {}),
            ("dns.status", {}),
        ):
            with pytest.raises(ControlError) as caught:
                await made.ask(verb, **parameters)
            assert caught.value.problem.code == "dns-missing"

    run(test)


def test_questions_to_the_resolver(run: Run) -> None:
    """Asked, emptied, and looked into."""

    async def test(made: Made) -> None:
        with made.config.open("a") as file:
            file.write(f'[dns]\nlisten = "127.0.0.1:{free_port()}"\nupstreams = ["udp://192.0.2.53"]\n')
        await made.ask("reload")
        assert (await made.ask("dns.query", name="www.example", type="A")).rcode == "SERVFAIL"
        assert await made.ask("dns.flush") == {"removed": 0}
        assert (await made.ask("dns.status")).queries == 0

    run(test)
