from sockslocal.address import Endpoint, UnixPath
from sockslocal.forwards.naming import joined


def test_one_address_is_shown_as_it_is() -> None:
    """Also a Unix socket's."""
    assert joined((Endpoint("127.0.0.1", 5432),)) == "127.0.0.1:5432"
    assert joined((UnixPath("/run/db.sock"),)) == "unix:/run/db.sock"


def test_a_range_is_shown_by_its_ends() -> None:
    """However many lie between."""
    ports = tuple(Endpoint("::1", port) for port in range(6000, 6011))
    assert joined(ports) == "[::1]:6000 … [::1]:6010"
