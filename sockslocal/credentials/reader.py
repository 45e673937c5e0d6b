"""The parent's side: read a password for the daemon, store or delete one for the command line."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from sockslocal.credentials import failures, limits, messages
from sockslocal.credentials.messages import Request
from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret

if TYPE_CHECKING:  # the child imports this module too, and does without
    from sockslocal.config.model import ServerConfig

_NOBODY: Mapping[str, Secret] = {}


async def read(
    server: "ServerConfig", *, deadline: float = 30.0, prompted: Mapping[str, Secret] = _NOBODY
) -> Secret:
    """The password of `server`, within `deadline` seconds; never prompts, never blocks the loop.

    `prompted` has, by server name, what was asked before the daemon started; for `prompt` sources it is the
    only place. Raises CredentialsError with `needs-unlock` (trying again later may help), `password-missing`,
    `password-source-failed` or `password-invalid`.
    """
    request = Request(
        action="read",
        server=server.name,
        username=server.username or "",
        source=server.password_from.kind,
        argument=server.password_from.argument,
        deadline=deadline,
    )
    if request.source == "prompt":
        if server.name not in prompted:
            raise failures.missing(request)
        return prompted[server.name]
    password = await _converse(request)
    assert password is not None  # noqa: S101  for mypy: what is read is there, or was raised
    return password


def store(server: str, username: str, password: Secret, *, deadline: float = 120.0) -> None:
    """Put the password into the keyring, which may ask the person to unlock it.

    Blocks up to `deadline` seconds. Raises CredentialsError as `read` does.
    """
    limits.check(password, server=server)
    _run(Request(action="store", server=server, username=username, password=password, deadline=deadline))


def delete(server: str, username: str, *, deadline: float = 120.0) -> None:
    """Take the password out of the keyring; otherwise like `store`."""
    _run(Request(action="delete", server=server, username=username, deadline=deadline))


def _run(request: Request) -> None:
    import asyncio  # as above

    asyncio.run(_converse(request))


async def _converse(request: Request) -> Secret | None:
    from sockslocal.credentials import process  # as above

    try:
        reply = await process.converse(
            messages.encode(request), deadline=request.deadline, limit=messages.MAX_ANSWER
        )
    except OSError as error:
        reason = f"no process can be started: {error.strerror}"
        raise failures.failed(request, reason, "sockslocal restart") from None
    if reply is None:
        raise failures.late(request)
    try:
        answer = messages.decode_answer(reply.content)
    except msgspec.MsgspecError:
        reason = f"the process that asks there ended with status {reply.status} and no answer"
        raise failures.failed(request, reason, "sockslocal restart") from None
    if answer.problem is not None:
        raise CredentialsError(answer.problem)
    return answer.password
