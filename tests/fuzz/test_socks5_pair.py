"""Invariant: our client and our server, joined in memory, agree on the login, the request and the reply.

Whatever the credentials and the target are, and however what each says is cut on its way.
"""

from hypothesis import given
from hypothesis import strategies as st

from fakes.pieces import cut
from sockslocal.address import Endpoint
from sockslocal.secret import Secret
from sockslocal.socks5.client import ClientHandshake, Credentials, Pipelining
from sockslocal.socks5.messages import Command, Reply, Request, Stage
from sockslocal.socks5.server import ServerHandshake

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=255).filter(
    lambda text: len(text.encode()) <= 255
)
names = st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z]{1,10}){0,3}", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.sampled_from(["2001:db8::1", "::1", "::"])
endpoints = st.builds(Endpoint, hosts, st.integers(0, 65535))


class Wire:
    """Delivers in pieces of hypothesis's choice."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def carry(self, octets: bytes, receiver: ClientHandshake | ServerHandshake) -> bytes:
        """What `receiver` answers to `octets`."""
        cuts = self.data.draw(st.lists(st.integers(0, len(octets)), max_size=4))
        return b"".join([receiver.receive(piece) for piece in cut(octets, cuts) if piece])


@given(
    st.none() | st.builds(Credentials, texts, st.builds(Secret, texts)),
    st.builds(Request, st.sampled_from([Command.CONNECT, Command.UDP_ASSOCIATE]), endpoints),
    endpoints,
    st.sampled_from(Pipelining),
    st.data(),
)
def test_client_and_server_understand_each_other(
    credentials: Credentials | None,
    request: Request,
    bound: Endpoint,
    pipelining: Pipelining,
    data: st.DataObject,
) -> None:
    """Every login arrives octet for octet, every target and bound address as it was."""
    logins: list[tuple[str, str]] = []

    def authenticate(username: bytes, password: bytes) -> bool:
        logins.append((username.decode(), password.decode()))
        return True

    wire = Wire(data)
    client = ClientHandshake(credentials, request, pipelining)
    server = ServerHandshake(authenticate if credentials else None)
    answer = wire.carry(client.start(), server)
    while said := wire.carry(answer, client):
        answer = wire.carry(said, server)
    assert client.stage is Stage.REPLY
    assert server.request == request
    wire.carry(server.reply(Reply.SUCCEEDED, bound), client)
    assert client.bound == bound
    assert logins == ([(credentials.username, credentials.password.reveal())] if credentials else [])
