import pytest

from sockslocal.address import Endpoint
from sockslocal.net.slots import MAX_ALIASES, MAX_RESERVED, QUARANTINE_S, Slots
from sockslocal.socks5.datagram import encode_header

NOW = 1_000.0
LATER = NOW + QUARANTINE_S

WEB, DNS, OTHER_DNS = Endpoint("192.0.2.1", 443), Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)
NAME, OTHER_NAME = Endpoint("dns.test", 53), Endpoint("ns.test", 53)


def found(slots: Slots[str], remote: Endpoint) -> str | None:
    """Whose a datagram is that names `remote`."""
    return slots.find(encode_header(remote))


def with_flows(*flows: tuple[str, Endpoint, Endpoint | None], limit: int = 10) -> Slots[str]:
    """Slots that carry `flows`, each with the address of its name, if known."""
    slots: Slots[str] = Slots(limit)
    for flow, remote, alias in flows:
        assert slots.takes(remote, alias, NOW)
        slots.add(flow, remote, alias)
    return slots


# addresses


def test_none() -> None:
    """Nothing is carried, and nothing belongs to anybody."""
    slots: Slots[str] = Slots(1)
    assert (len(slots), list(slots), "flow" in slots) == (0, [], False)
    assert found(slots, WEB) is None
    assert slots.learn(WEB, NOW) == []
    assert slots.sole(NOW) is None
    assert slots.is_clear(443)
    assert not slots.shares(443)


def test_flows_to_several_remotes() -> None:
    """Each is found by its own remote, at whatever host and port."""
    slots = with_flows(("web", WEB, None), ("dns", DNS, None), ("other", OTHER_DNS, None))
    assert [found(slots, remote) for remote in (WEB, DNS, OTHER_DNS)] == ["web", "dns", "other"]
    assert (len(slots), list(slots), "dns" in slots) == (3, ["web", "dns", "other"], True)
    assert found(slots, Endpoint("192.0.2.2", 443)) is None
    assert slots.learn(Endpoint("192.0.2.3", 53), NOW) == []
    assert slots.shares(53)
    assert not slots.shares(443)


def test_one_flow_a_remote() -> None:
    """What comes from there could be meant for either."""
    slots = with_flows(("one", WEB, None))
    assert not slots.takes(WEB, None, NOW)
    assert slots.takes(DNS, None, NOW)


def test_so_many_flows() -> None:
    """And no more, until one has ended."""
    slots = with_flows(("web", WEB, None), ("dns", DNS, None), limit=2)
    assert not slots.takes(OTHER_DNS, None, NOW)
    slots.remove("web", NOW)
    assert slots.takes(OTHER_DNS, None, NOW)


def test_flows_may_end_while_all_are_looked_through() -> None:
    """Whoever is told something may end its flow."""
    slots = with_flows(("web", WEB, None), ("dns", DNS, None))
    for flow in slots:
        slots.remove(flow, NOW)
    assert len(slots) == 0


def test_a_remote_is_not_given_away_at_once() -> None:
    """A late answer to the flow that has ended is nobody's; after a while none will come."""
    slots = with_flows(("one", WEB, None), ("dns", DNS, None))
    slots.remove("one", NOW)
    slots.remove("one", NOW)
    assert found(slots, WEB) is None
    assert slots.learn(WEB, NOW) == []
    assert not slots.takes(WEB, None, LATER - 0.1)
    assert slots.takes(WEB, None, LATER)
    slots.add("two", WEB, None)
    assert found(slots, WEB) == "two"


def test_each_remote_has_a_time_of_its_own() -> None:
    """The first to end is the first to be free."""
    slots = with_flows(("web", WEB, None), ("dns", DNS, None))
    slots.remove("web", NOW)
    slots.remove("dns", NOW + 1)
    assert slots.takes(WEB, None, LATER)
    assert not slots.takes(DNS, None, LATER)
    assert slots.takes(DNS, None, LATER + 1)


def test_what_is_kept_from_being_given_away_is_bounded() -> None:
    """Where too much is, no flow is taken; there are other associations, and time."""
    slots: Slots[int] = Slots(10)
    for port in range(1, MAX_RESERVED + 1):
        assert slots.takes(Endpoint("192.0.2.1", port), None, NOW)
        slots.add(port, Endpoint("192.0.2.1", port), None)
        slots.remove(port, NOW)
    assert not slots.takes(Endpoint("192.0.2.2", 1), None, NOW)
    assert slots.takes(Endpoint("192.0.2.2", 1), None, LATER)


def test_the_only_flow() -> None:
    """Anything that comes is meant for it, if there is no other, nor was one lately."""
    slots = with_flows(("web", WEB, None))
    assert slots.sole(NOW) == "web"
    slots.add("dns", DNS, None)
    assert slots.sole(NOW) is None
    slots.remove("dns", NOW)
    assert slots.sole(LATER - 0.1) is None
    assert slots.sole(LATER) == "web"


# names


def test_a_name_learns_its_address() -> None:
    """From the first datagram; until then no other flow to its port is taken."""
    slots = with_flows(("name", NAME, None))
    assert not slots.is_clear(53)
    assert not slots.takes(OTHER_DNS, None, NOW)
    assert not slots.takes(OTHER_NAME, None, NOW)
    assert not slots.takes(OTHER_NAME, OTHER_DNS, NOW)
    assert slots.takes(WEB, None, NOW)
    assert slots.learn(WEB, NOW) == []
    assert slots.learn(DNS, NOW) == ["name"]
    assert found(slots, DNS) == found(slots, NAME) == "name"
    assert slots.is_clear(53)
    assert not slots.takes(DNS, None, NOW)
    assert not slots.takes(OTHER_NAME, DNS, NOW)
    assert not slots.takes(OTHER_NAME, None, NOW)
    assert slots.takes(OTHER_DNS, None, NOW)
    assert slots.takes(OTHER_NAME, OTHER_DNS, NOW)


def test_a_name_whose_address_is_known() -> None:
    """It shares its port from the beginning, but not with that very address."""
    slots = with_flows(("dns", DNS, None))
    assert not slots.takes(NAME, None, NOW)
    assert not slots.takes(NAME, DNS, NOW)
    assert slots.takes(NAME, OTHER_DNS, NOW)
    slots.add("name", NAME, OTHER_DNS)
    assert found(slots, OTHER_DNS) == "name"
    assert slots.is_clear(53)


@pytest.mark.parametrize("alias", [None, DNS])
def test_a_name_may_be_answered_by_itself(alias: Endpoint | None) -> None:
    """Some servers name what they were asked for."""
    slots = with_flows(("name", NAME, alias))
    assert found(slots, NAME) == "name"
    assert not slots.takes(NAME, alias, NOW)


def test_a_name_that_wanders_is_to_be_alone() -> None:
    """All its addresses are its own, the latest of them; whoever comes to its port is turned away."""
    slots = with_flows(("name", NAME, None))
    addresses = [Endpoint(f"192.0.2.{number}", 53) for number in range(MAX_ALIASES + 2)]
    for address in addresses:
        assert slots.learn(address, NOW) == ["name"]
    assert [found(slots, address) for address in addresses] == [None] * 2 + ["name"] * MAX_ALIASES
    assert not slots.is_clear(53)
    assert not slots.takes(Endpoint("192.0.2.200", 53), None, NOW)
    assert slots.takes(WEB, None, NOW)


def test_a_name_may_begin_to_wander() -> None:
    """Then the port is shared, and it is not sure any more from where all will be answered."""
    slots = with_flows(("name", NAME, DNS), ("other", OTHER_DNS, None))
    assert slots.shares(53)
    assert slots.is_clear(53)
    assert slots.learn(Endpoint("192.0.2.3", 53), NOW) == ["name"]
    assert not slots.is_clear(53)


def test_one_of_several_names() -> None:
    """Which of them has moved nobody can tell; none of them has the address."""
    slots = with_flows(("name", NAME, DNS), ("other", OTHER_NAME, OTHER_DNS))
    moved = Endpoint("192.0.2.3", 53)
    assert slots.learn(moved, NOW) == ["name", "other"]
    assert found(slots, moved) is None


def test_a_name_that_has_ended_keeps_its_addresses_for_a_while() -> None:
    """Answers from there are late; nobody is given them."""
    slots = with_flows(("name", NAME, None))
    slots.learn(DNS, NOW)
    slots.remove("name", NOW)
    assert [found(slots, remote) for remote in (NAME, DNS)] == [None, None]
    assert not slots.takes(DNS, None, NOW)
    assert not slots.takes(NAME, DNS, NOW)
    assert not slots.takes(OTHER_NAME, None, LATER - 0.1)
    assert slots.takes(OTHER_DNS, None, NOW)
    assert slots.takes(OTHER_NAME, None, LATER)


@pytest.mark.parametrize("addresses", [(), (DNS, OTHER_DNS)])
def test_a_port_is_kept_after_a_name_that_could_answer_from_anywhere(addresses: tuple[Endpoint, ...]) -> None:
    """No flow to it is taken while something late may come."""
    slots = with_flows(("name", NAME, None))
    for address in addresses:
        slots.learn(address, NOW)
    slots.remove("name", NOW)
    assert not slots.takes(Endpoint("192.0.2.3", 53), None, LATER - 0.1)
    assert slots.takes(WEB, None, NOW)
    assert slots.takes(Endpoint("192.0.2.3", 53), None, LATER)


def test_a_late_answer_teaches_nothing() -> None:
    """It may come from where the name that has ended has moved to."""
    slots = with_flows(("name", NAME, DNS), ("other", OTHER_NAME, OTHER_DNS), ("web", WEB, None))
    slots.remove("name", NOW)
    moved = Endpoint("192.0.2.3", 53)
    assert slots.learn(moved, LATER - 0.1) == []
    assert slots.learn(moved, LATER) == ["other"]


def test_an_address_may_be_a_names_after_its_own_flow_has_ended() -> None:
    """Not at once, for what comes may be late."""
    slots = with_flows(("name", NAME, DNS), ("other", OTHER_DNS, None))
    slots.remove("other", NOW)
    assert slots.learn(OTHER_DNS, LATER - 0.1) == []
    assert slots.learn(OTHER_DNS, LATER) == ["name"]
