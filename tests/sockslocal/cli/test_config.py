from fakes.cli import CommandLine
from sockslocal.paths import Paths


def test_the_path_is_told_whether_it_exists_or_not(cli: CommandLine, paths: Paths) -> None:
    """Alone on stdout, for scripts."""
    assert cli("config", "path") == (0, f"{paths.config}\n", "")


def test_a_valid_file_is_summed_up(cli: CommandLine, paths: Paths) -> None:
    """So that one sees it was the right file."""
    paths.config.write_text(
        '[server.a]\naddress = "a:1"\n[tcp.x]\nlisten = "127.0.0.1:1"\nto = "a:1"\n'
        '[udp.y]\nlisten = "127.0.0.1:1"\nto = "a:1"\n'
        '[dns]\nlisten = "127.0.0.1:5399"\nupstreams = ["udp://9.9.9.9"]\n'
    )
    assert cli("config", "check") == (0, "", f"{paths.config} is valid: 1 server, 2 forwards, the resolver\n")
    paths.config.write_text("")
    assert cli("config", "check").err == f"{paths.config} is valid: 0 servers, 0 forwards\n"


def test_an_invalid_file_is_exit_code_4(cli: CommandLine, paths: Paths) -> None:
    """With all that is wrong, each at its line."""
    paths.config.write_text("[server.a]\naddress = 7\nudp = 8\n")
    done = cli("config", "check")
    assert (done.code, done.out) == (4, "")
    assert [line for line in done.err.splitlines() if line.startswith("  -->")] == [
        f"  --> {paths.config}:2",
        f"  --> {paths.config}:3",
    ]
