from sockslocal.address import Endpoint
from sockslocal.cli.first_run.plan import ForwardAnswer, Plan, ResolverAnswer, ServerAnswer
from sockslocal.config.edit import Wish

ADDRESS = Endpoint("proxy.example.net", 1080)


def test_a_server_keeps_what_nobody_asked_about() -> None:
    """The rest is as it was answered; what is not there any more goes."""
    answer = ServerAnswer(
        name="office", address=ADDRESS, table={"address": "a:1", "username": "ben", "tls": True}
    )
    assert answer.wish("keyring") == Wish(
        ("server", "office"),
        {"address": "proxy.example.net:1080", "username": None, "tls": True, "password_from": None},
    )


def test_where_the_password_is_stands_in_the_file() -> None:
    """Unless it is the keyring, or nobody logs in."""
    answer = ServerAnswer(name="office", address=ADDRESS, username="ana")
    for place, written in (("keyring", None), (None, None), ("prompt", "prompt"), ("file:/x", "file:/x")):
        assert answer.wish(place).settings["password_from"] == written
    assert ServerAnswer(name="office", address=ADDRESS).wish("prompt").settings["password_from"] is None


def test_all_tables_of_a_plan() -> None:
    """What goes through another server than the default one names it, unless it is only tried."""
    server = ServerAnswer(name="home", address=ADDRESS)
    forward = ForwardAnswer(kind="udp", name="game", port=27015, to=Endpoint("a", 1), through="home")
    resolver = ResolverAnswer(port=5399, upstream="tcp://9.9.9.9", through="home")
    plan = Plan(server=server, forward=forward, resolver=resolver)
    assert [wish.where for wish in plan.wishes] == [("server", "home"), ("udp", "game"), ("dns",)]
    assert plan.wishes[1].settings == {"listen": "127.0.0.1:27015", "to": "a:1", "server": "home"}
    assert plan.wishes[2].settings == {
        "listen": "127.0.0.1:5399",
        "upstreams": ["tcp://9.9.9.9"],
        "server": "home",
    }
    assert "server" not in {**forward.wish(tried=True).settings, **resolver.wish(tried=True).settings}
    assert [wish.where for wish in Plan(server=server).wishes] == [("server", "home")]
