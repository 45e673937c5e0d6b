import shutil
import subprocess
import sys

import pytest

from sockslocal.cli.man import page
from sockslocal.problems import ExitCode

needs_groff = pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")


def shown() -> str:
    """The page as a terminal has it, without a word about it."""
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c", "-rLL=100n"],
        input=page().encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    text = done.stdout.decode()
    while "\b" in text:  # bold and underlined, as a printer did it
        at = text.index("\b")
        text = text[: at - 1] + text[at + 1 :]
    return text


@needs_groff
def test_groff_has_no_complaint() -> None:
    """And shows quotes, dashes and arrows as they are."""
    text = shown()
    assert "SOCKSLOCAL(1)" in text
    assert 'sockslocal server add lab lab:1080 --username ana --password-from "command:pass lab"' in text
    assert "  sockslocal login office" in text
    assert "\\" not in text.replace("\\[", "")


def test_every_command_is_told_of() -> None:
    """Those that are hidden are not."""
    text = page()
    for command in ("setup", "forward add", "server use", "dns use\\-system", "autostart"):
        assert f'.SS "{command}"' in text
    assert "_names" not in text
    assert "secrets" not in text
    assert text.count("\n.TP\n") > 50


def test_every_exit_status_is_told_of() -> None:
    """As the interface has them."""
    status = page().partition(".SH EXIT STATUS")[2]
    assert [line for line in status.splitlines() if line.isdigit()] == [str(int(code)) for code in ExitCode]


def test_the_page_is_printed() -> None:
    """For whoever installs it."""
    done = subprocess.run(
        [sys.executable, "-m", "sockslocal.cli.man"], capture_output=True, text=True, check=True
    )
    assert done.stdout == page()
