"""A system that asks a resolver that is no more: whoever learns that the daemon is dead has to hear of it."""

import contextlib
from collections.abc import Iterator

from sockslocal.cli.terminal import say
from sockslocal.errors import SockslocalError


@contextlib.contextmanager
def told_when_dead() -> Iterator[None]:
    """Within, an error that there is no daemon comes with a warning where the system still asks it."""
    try:
        yield
    except SockslocalError as error:
        if error.problem.code == "not-running":
            from sockslocal.cli import system_dns  # only now: `status` is to be quick

            if system_dns.is_asked():
                say(
                    "the system still asks it for names; to have that as before: sockslocal dns restore",
                    "warn",
                )
        raise
