import pytest

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.dialer import DialError
from sockslocal.problems import problem
from sockslocal.resolver.errors import FAILURES, LostError, NoUpstreamError, copied

DOWN = problem("server-unreachable", address=Endpoint("proxy.example", 1080), reason="connection refused")


@pytest.mark.parametrize(
    "error",
    [
        LostError("connection closed"),
        NoUpstreamError(DOWN, transient=True),
        ServerError(DOWN),
        DialError(DOWN, server_answers=True),
        TimeoutError(),
        OSError(111, "Connection refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_is_like_the_original(error: Exception) -> None:
    """Of its kind, with its text and all it carries, but without the way it has come."""
    with pytest.raises(FAILURES):
        raise error
    copy = copied(error)
    assert copy is not error
    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)
    assert vars(copy) == vars(error)
    assert error.__traceback__ is not None
    assert copy.__traceback__ is None
