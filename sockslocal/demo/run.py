"""`sockslocal demo`, from the empty temporary folder to the commands to try next."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Self

from sockslocal.demo import traffic
from sockslocal.demo.child import DaemonProcess, NotStarted
from sockslocal.demo.folder import temporary_folder
from sockslocal.demo.setting import USERNAME, Setting, new_credentials
from sockslocal.demo.show import Screen
from sockslocal.demo.stage import Stage
from sockslocal.problems import ExitCode
from sockslocal.socks5.messages import Command


class _Interrupted(KeyboardInterrupt):
    """The signal `number` came."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Signals:
    """Every signal that ends a program raises _Interrupted between entry and exit, but not while `held`."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._held = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._came) for number in _ending_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What comes meanwhile is raised at the end, so that nothing is made and then forgotten."""
        self._held = True
        yield
        self._held = False
        self.check()

    def check(self) -> None:
        """Raise what came; where it was raised first, Python may have passed over it, as in a `__del__`."""
        if self._number is not None:
            raise _Interrupted(self._number)

    def ignore(self) -> None:
        """From now on; so that a second one does not keep the first from being obeyed."""
        for number in _ending_signals():
            signal.signal(number, signal.SIG_IGN)

    def _came(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
        if not self._held:
            self.check()


def main(*, once: bool) -> int:
    """Run the demo, with `once` only as long as its traffic takes; 0 if all of that worked, else 1.

    However it ends, the daemon is stopped and the folder removed. SIGTERM and SIGHUP end it as Ctrl-C does;
    the code is then 128 and the signal's number, as shells have it.
    """
    screen = Screen(sys.stdout)
    try:
        with _Signals() as signals, ExitStack() as stack:
            try:
                return _demonstrate(screen, stack, signals, once=once)
            finally:
                signals.ignore()
    except NotStarted as error:
        return _fail(f"the daemon did not start: {error}")
    except OSError as error:
        return _fail(str(error))
    except _Interrupted as interrupted:
        print("interrupted", file=sys.stderr)
        return 128 + interrupted.number


def _demonstrate(screen: Screen, stack: ExitStack, signals: _Signals, *, once: bool) -> ExitCode:
    with signals.held():
        folder = stack.enter_context(temporary_folder())
        credentials = new_credentials()
        stage = stack.enter_context(Stage(credentials))
        setting = Setting.create(folder)
        setting.write(stage.address, credentials)
        daemon = stack.enter_context(DaemonProcess(setting))
    screen.opening(stage.address, daemon.pid)
    daemon.wait_until_listening()
    failed = _walk(screen, stage, setting)
    signals.check()
    screen.proof(stage.server.served)
    if failed:
        return _fail(f"{failed} of them failed; the daemon says:{daemon.last_words()}")
    if not once:
        screen.commands(setting)
        _stay(daemon)
    return ExitCode.DONE


def _walk(screen: Screen, stage: Stage, setting: Setting) -> int:
    """Show every step; the number of those that failed."""
    failed = 0
    try:
        screen.login(stage.address, *_timed(lambda: traffic.try_wrong_password(stage.address, USERNAME)))
    except traffic.StepFailed as error:
        screen.failure("login", f"{stage.address} with a wrong password for {USERNAME}", str(error))
        failed += 1
    for step in traffic.steps(setting):
        try:
            screen.step(step, *_timed(step.walk))
        except traffic.StepFailed as error:
            screen.failed_step(step, str(error))
            failed += 1
    served = stage.server.served
    if not failed and not (served[Command.CONNECT] and served[Command.UDP_ASSOCIATE]):
        screen.failure("proof", "all answers came, but not through the server", "")
        failed += 1
    return failed


def _timed(walk: Callable[[], str]) -> tuple[str, float]:
    began = time.perf_counter()
    carried = traffic.run(walk)
    return carried, time.perf_counter() - began


def _stay(daemon: DaemonProcess) -> None:
    """Until Ctrl-C, which is the way to end it, or until somebody stops the daemon."""
    try:
        daemon.wait()
    except KeyboardInterrupt:
        print()  # after the ^C of the terminal
        raise
    print("The daemon has been stopped, so this ends too.")


def _fail(reason: str) -> ExitCode:
    print(f"error: {reason}", file=sys.stderr)
    return ExitCode.FAILED


def _ending_signals() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
