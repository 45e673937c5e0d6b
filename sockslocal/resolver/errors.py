"""Why an upstream did not answer. None of these reaches a user: the reply says SERVFAIL, `details` says why.

UnansweredError
├── UnusableError      its message does not answer the question
├── FaultyError        its TLS or its HTTP is not as it has to be
├── LostError          the flow or connection ended with the query outstanding
├── ForgeryError       messages came that answer nothing we asked
├── OverloadedError    too much is being waited for already
└── NoUpstreamError    none of the upstreams answered
"""

from typing import TypeVar

from sockslocal.errors import ServerError
from sockslocal.problems import Problem


class UnansweredError(Exception):
    """The base of all; its text says what happened."""


class UnusableError(UnansweredError):
    """A message that does not answer the question it was sent for."""


class FaultyError(UnansweredError):
    """An upstream with which there is no TLS, or no DNS inside its HTTP; `remedy` is what mends it."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


class LostError(UnansweredError):
    """The flow or the connection ended with the query outstanding; a new one may carry it."""


class ForgeryError(UnansweredError):
    """So many messages did not match any query that datagrams are not to be trusted for now."""


class OverloadedError(UnansweredError):
    """A bound of ours is reached; says nothing about the upstream or the name."""


class NoUpstreamError(UnansweredError):
    """None of them answered; `transient` where the way to them is to blame and not they or the name."""

    def __init__(self, problem: Problem, *, transient: bool) -> None:
        super().__init__(problem.text)
        self.problem = problem
        self.transient = transient


FAILURES = (UnansweredError, ServerError, OSError, TimeoutError)
"""All that asking an upstream may raise."""

E = TypeVar("E", bound=BaseException)


def copied(error: E) -> E:
    """One like `error`, for one of several who wait: raising it writes a traceback into it.

    By `copy.copy` its constructor would be called with `args`, which is not what those of ours take.
    """
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    return own
