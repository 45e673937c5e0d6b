"""The demo's folder."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.config.load import load
from sockslocal.config.model import PasswordSource
from sockslocal.demo.setting import Setting, new_credentials
from sockslocal.paths import find

SERVER = Endpoint("127.0.0.1", 1080)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A setting, written, in a folder whose name needs quoting."""
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    made = Setting.create(folder)
    made.write(SERVER, new_credentials())
    return made


def test_the_configuration_is_valid(setting: Setting) -> None:
    """The daemon reads from it what the demo is going to use."""
    config = load(setting.paths.config)
    server = config.servers["proxy"]
    assert (server.address, server.username) == (SERVER, "ana")
    assert server.password_from == PasswordSource("file", str(setting.folder / "password"))
    assert config.tcp["echo"].listen == (setting.echo,)
    assert config.tcp["web"].listen == (setting.web,)
    assert config.udp["echo-udp"].listen == (setting.udp,)
    assert config.dns is not None
    assert config.dns.listen == (setting.dns,)


def test_only_the_user_may_read_what_is_in_it(setting: Setting) -> None:
    """Password and configuration are for their owner alone."""
    modes = {file.name: file.stat().st_mode & 0o777 for file in setting.folder.iterdir()}
    assert modes == {"config.toml": 0o600, "password": 0o600, "env": 0o600}


def test_the_ports_are_free_and_differ(tmp_path: Path) -> None:
    """Each can be listened on, over TCP and UDP, as long as no other program is given it."""

    def all_are_free() -> bool:
        setting = Setting.create(tmp_path)
        ports = [setting.echo, setting.web, setting.udp, setting.dns, setting.spare]
        assert len(set(ports)) == 5
        return all(map(is_free, ports))

    wait_until(all_are_free, seconds=10, what="five ports that are free")


def is_free(endpoint: Endpoint) -> bool:
    """Whether it can be listened on."""
    try:
        with socket.create_server(endpoint), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.bind(endpoint)
    except OSError:
        return False
    return True


def test_every_password_is_new() -> None:
    """Nobody who knows one demo can log in at another."""
    assert new_credentials().password != new_credentials().password


def test_the_shells_file_leads_to_this_daemon(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that has read it finds the demo's places and this installation's programs."""
    script = '. "$1" && env'
    command = ["sh", "-c", script, "sh", str(setting.environment_script)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    environment = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    for name, value in environment.items():
        if name.startswith("SOCKSLOCAL_"):
            monkeypatch.setenv(name, value)
    assert find() == setting.paths


def test_the_environment_of_the_daemon_leads_to_its_places(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places that the daemon finds are those that the demo looks for it in."""
    for name, value in setting.environment.items():
        monkeypatch.setenv(name, value)
    assert find() == setting.paths
