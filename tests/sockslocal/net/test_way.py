from fakes.engine import FakeClock
from sockslocal.address import Endpoint
from sockslocal.net.login import Login
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.way import Way


def test_a_problem_names_the_server() -> None:
    """Address and name are filled in; what else there is to say is given."""
    endpoint = Endpoint("proxy.test", 1080)
    clock = FakeClock()
    way = Way(
        name="office",
        endpoint=endpoint,
        addresses=ServerAddresses(endpoint, clock),
        login=Login("office", clock, lambda: False),
        connect_timeout=10.0,
        password_remedy="sockslocal login office",
        reached=lambda _dial: None,
        missed=lambda _error: None,
        doubted=lambda: None,
    )
    problem = way.problem("server-unresolvable", host="proxy.test", reason="no such name")
    assert problem.text == 'the name "proxy.test" of the server could not be looked up: no such name'
    assert problem.remedy == "check [server.office] address"
    assert way.problem("server-unreachable", reason="refused").text.startswith("proxy.test:1080 cannot")
