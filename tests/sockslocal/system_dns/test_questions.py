import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from sockslocal.system_dns.questions import answers, heartbeat, is_found, question


def test_the_question_is_one() -> None:
    """As dnspython reads it."""
    message = dns.message.from_wire(question(4711, "ab.example.com."))
    assert message.id == 4711
    assert message.flags == dns.flags.RD
    assert [str(one) for one in message.question] == ["ab.example.com. IN A"]


def test_a_heartbeat_asks_nothing() -> None:
    """An opcode that every resolver answers, and none passes on."""
    message = dns.message.from_wire(heartbeat(7))
    assert (message.id, message.opcode(), message.question) == (7, dns.opcode.STATUS, [])


def test_what_answers() -> None:
    """A response with the same number; its code is what counts."""
    query = dns.message.from_wire(question(7, "example.com"))
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.NXDOMAIN)
    assert answers(response.to_wire(), 7) == dns.rcode.NXDOMAIN
    assert answers(response.to_wire(), 8) is None
    assert answers(query.to_wire(), 7) is None
    assert answers(response.to_wire()[:11], 7) is None


@pytest.mark.parametrize(("rcode", "found"), [(0, True), (3, True), (2, False), (5, False), (None, False)])
def test_what_was_looked_up(rcode: int | None, found: bool) -> None:  # noqa: FBT001  the table's column
    """That there is no such name is as good as an address."""
    assert is_found(rcode) is found
