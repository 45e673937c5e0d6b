"""What the child is asked and what it answers: one JSON object each way, ended by the end of the stream."""

from typing import Any, Literal

import msgspec

from sockslocal.config.model import PasswordKind, PasswordSource
from sockslocal.problems import Problem
from sockslocal.secret import Secret

MAX_ANSWER = 64 * 1024
"""Bytes; a password has at most 255 octets, so this is only ever reached by a child gone wrong."""

Action = Literal["read", "store", "delete"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the password of `username` at `server`; `password` is the one to store.

    `source` and `argument` are those of `PasswordSource`; `deadline` is in seconds.
    """

    action: Action
    server: str
    username: str
    source: PasswordKind = "keyring"
    argument: str = ""
    deadline: float
    password: Secret | None = None

    @property
    def service(self) -> str:
        """What the keyring knows the server as; the account is `username`."""
        return f"sockslocal:{self.server}"

    @property
    def place(self) -> str:
        """Where the password is, in words."""
        return PasswordSource(self.source, self.argument).place


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A password, or what went wrong; neither where something was stored or deleted."""

    password: Secret | None = None
    problem: Problem | None = None


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _conceal(_type: type, value: Any) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    raise TypeError("a secret is a string")  # without the value


_encoder = msgspec.json.Encoder(enc_hook=_reveal)
encode = _encoder.encode
decode_request = msgspec.json.Decoder(Request, dec_hook=_conceal).decode
decode_answer = msgspec.json.Decoder(Answer, dec_hook=_conceal).decode
