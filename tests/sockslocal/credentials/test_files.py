import os
from pathlib import Path

import pytest

from fakes.descriptors import open_descriptors
from sockslocal.config.model import PasswordKind
from sockslocal.credentials.files import MAX_BYTES, read_file, read_systemd
from sockslocal.credentials.messages import Request
from sockslocal.errors import CredentialsError
from sockslocal.problems import Problem


def request(source: PasswordKind, argument: object) -> Request:
    """A request for what is in a file."""
    return Request(
        action="read", server="office", username="ana", source=source, argument=str(argument), deadline=3
    )


def refusal(path: object) -> Problem:
    """Why the file at `path` is not read."""
    with pytest.raises(CredentialsError) as caught:
        read_file(request("file", path))
    assert caught.value.problem.code == "password-source-failed"
    return caught.value.problem


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file as it should be."""
    path = tmp_path / "secret"
    path.write_bytes(b"pw\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_this_user_alone_is_read(secret: Path, mode: int) -> None:
    """The content comes as it is; what its newline means is decided elsewhere."""
    secret.chmod(mode)
    assert read_file(request("file", secret)) == b"pw\n"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_that_others_may_use_is_refused(secret: Path, mode: int) -> None:
    """Reading or writing, group or world; the remedy is the command that mends it."""
    secret.chmod(mode)
    problem = refusal(secret)
    assert "other users may use it (-rw" in problem.text
    assert problem.remedy == f"chmod 600 {secret}"


def test_a_path_in_a_remedy_can_be_pasted(tmp_path: Path) -> None:
    """A space or a newline in the path neither breaks the command nor the line."""
    path = tmp_path / "my pass\nword"
    path.write_bytes(b"pw")
    path.chmod(0o644)
    assert refusal(path).remedy == f"chmod 600 '{tmp_path}/my pass\\nword'"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(secret: Path) -> None:
    """Its owner could change it at will."""
    os.chown(secret, 54321, 54321)
    assert "it belongs to another user (uid 54321)" in refusal(secret).text


def test_a_symbolic_link_is_refused(secret: Path, tmp_path: Path) -> None:
    """It may have been planted to send another file to the server; the remedy names the file behind it."""
    link = tmp_path / "link"
    link.symlink_to(secret)
    problem = refusal(link)
    assert "it is a symbolic link" in problem.text
    assert problem.remedy == f'name what it points to: password_from = "file:{secret}"'


def test_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    """Opening one to read would wait for ever."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "it is not a regular file" in refusal(tmp_path / "pipe").text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nonexistent/secret", "there is no such file"),
        ("/dev/null", "it is not a regular file"),
        ("/", "Is a directory"),
        ("/a\0b", "that is no path"),
        ("/etc/passwd/x", "Not a directory"),
    ],
)
def test_what_is_no_file_is_told(path: str, reason: str) -> None:
    """Every way to name the wrong thing has its reason."""
    assert reason in refusal(path).text


def test_64_kib_is_the_most(secret: Path) -> None:
    """A wrong path may lead to anything; no more than this of it is read."""
    secret.write_bytes(b"x" * MAX_BYTES)
    assert len(read_file(request("file", secret))) == MAX_BYTES
    secret.write_bytes(b"x" * (MAX_BYTES + 1))
    assert "it has more than 65536 bytes" in refusal(secret).text


def test_no_descriptor_stays_open(secret: Path) -> None:
    """Not after reading, not after any refusal."""
    before = open_descriptors()
    read_file(request("file", secret))
    secret.chmod(0o644)
    refusal(secret)
    refusal("/")
    assert open_descriptors() == before


def test_a_credential_of_systemd_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode may show a group, which is how an access list looks."""
    (tmp_path / "proxy").write_bytes(b"pw\n")
    (tmp_path / "proxy").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_systemd(request("systemd", "proxy")) == b"pw\n"


def test_without_systemd_there_are_no_credentials() -> None:
    """A daemon started by hand has no folder of credentials; the remedy is the unit's line."""
    with pytest.raises(CredentialsError, match="systemd gave this process no credentials") as caught:
        read_systemd(request("systemd", "proxy"))
    assert caught.value.problem.remedy.startswith("add LoadCredential=proxy:")


def test_a_credential_that_was_not_given_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit has other credentials than this one."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(CredentialsError, match="there is no such file") as caught:
        read_systemd(request("systemd", "proxy"))
    assert caught.value.problem.remedy.startswith("add LoadCredential=proxy:")


@pytest.mark.parametrize("name", ["", ".", "..", "../shadow", "a/b", "/etc/shadow"])
def test_a_credential_has_a_name_and_no_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot lead out of the folder."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(CredentialsError, match="that is no credential's name"):
        read_systemd(request("systemd", name))
