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


def with_flows(*flows: tuple[str, Endpoint], limit: int = 10) -> Slots[str]:
    """Slots that carry `flows`."""
    slots: Slots[str] = Slots(limit)
    for flow, remote in flows:
        assert slots.takes(remote, NOW)
        slots.add(flow, remote)
    return slots


# addresses


def test_none() -> None:
    """Nothing is carried, and nothing belongs to anybody."""
    slots: Slots[str] = Slots(1)
    assert (len(slots), list(slots), "flow" in slots) == (0, [], False)
    assert found(slots, WEB) is None
    assert slots.learn(WEB) is None
    assert slots.sole(NOW) is None


def test_flows_to_several_remotes() -> None:
    """Each is found by its own remote, at whatever host and port."""
    slots = with_flows(("web", WEB), ("dns", DNS), ("other", OTHER_DNS))
    assert [found(slots, remote) for remote in (WEB, DNS, OTHER_DNS)] == ["web", "dns", "other"]
    assert (len(slots), list(slots), "dns" in slots) == (3, ["web", "dns", "other"], True)
    assert found(slots, Endpoint("192.0.2.2", 443)) is None
    assert slots.learn(Endpoint("192.0.2.3", 53)) is None


def test_one_flow_a_remote() -> None:
    """What comes from there could be meant for either."""
    slots = with_flows(("one", WEB))
    assert not slots.takes(WEB, NOW)
    assert slots.takes(DNS, NOW)


def test_so_many_flows() -> None:
    """And no more, until one has ended."""
    slots = with_flows(("web", WEB), ("dns", DNS), limit=2)
    assert not slots.takes(OTHER_DNS, NOW)
    slots.remove("web", NOW)
    assert slots.takes(OTHER_DNS, NOW)


def test_flows_may_end_while_all_are_looked_through() -> None:
    """Whoever is told something may end its flow."""
    slots = with_flows(("web", WEB), ("dns", DNS))
    for flow in slots:
        slots.remove(flow, NOW)
    assert len(slots) == 0


def test_a_remote_is_not_given_away_at_once() -> None:
    """A late answer to the flow that has ended is nobody's; after a while none will come."""
    slots = with_flows(("one", WEB), ("dns", DNS))
    slots.remove("one", NOW)
    slots.remove("one", NOW)
    assert found(slots, WEB) is None
    assert slots.learn(WEB) is None
    assert not slots.takes(WEB, LATER - 0.1)
    assert slots.takes(WEB, LATER)
    slots.add("two", WEB)
    assert found(slots, WEB) == "two"


def test_each_remote_has_a_time_of_its_own() -> None:
    """The first to end is the first to be free."""
    slots = with_flows(("web", WEB), ("dns", DNS))
    slots.remove("web", NOW)
    slots.remove("dns", NOW + 1)
    assert slots.takes(WEB, LATER)
    assert not slots.takes(DNS, LATER)
    assert slots.takes(DNS, LATER + 1)


def test_what_is_kept_from_being_given_away_is_bounded() -> None:
    """Where too much is, no flow is taken; there are other associations, and time."""
    slots: Slots[int] = Slots(10)
    for port in range(1, MAX_RESERVED + 1):
        assert slots.takes(Endpoint("192.0.2.1", port), NOW)
        slots.add(port, Endpoint("192.0.2.1", port))
        slots.remove(port, NOW)
    assert not slots.takes(Endpoint("192.0.2.2", 1), NOW)
    assert slots.takes(Endpoint("192.0.2.2", 1), LATER)


def test_the_only_flow() -> None:
    """Anything that comes is meant for it, if there is no other, nor was one lately."""
    slots = with_flows(("web", WEB))
    assert slots.sole(NOW) == "web"
    slots.add("dns", DNS)
    assert slots.sole(NOW) is None
    slots.remove("dns", NOW)
    assert slots.sole(LATER - 0.1) is None
    assert slots.sole(LATER) == "web"


# names


def test_a_name_shares_its_port_with_nobody() -> None:
    """From wherever it is answered, that cannot be meant for another; nor does it come where others are."""
    slots = with_flows(("name", NAME))
    for remote in (DNS, OTHER_DNS, NAME, OTHER_NAME):
        assert not slots.takes(remote, NOW)
    assert slots.takes(WEB, NOW)
    assert not with_flows(("dns", DNS)).takes(NAME, NOW)
    assert with_flows(("web", WEB)).takes(NAME, NOW)


def test_a_name_whose_address_was_seen_shares_no_more_than_before() -> None:
    """It may have another one the next time, maybe just the one to which the other flow goes."""
    slots = with_flows(("name", NAME))
    assert slots.learn(DNS) == "name"
    for remote in (DNS, OTHER_DNS, OTHER_NAME):
        assert not slots.takes(remote, NOW)
    assert slots.learn(OTHER_DNS) == "name"


def test_a_name_is_answered_from_anywhere_at_its_port() -> None:
    """Each address is found at once from then on."""
    slots = with_flows(("name", NAME), ("web", WEB))
    assert found(slots, DNS) is None
    assert slots.learn(DNS) == "name"
    assert found(slots, DNS) == "name"
    assert slots.learn(DNS._replace(port=443)) is None


def test_a_name_may_be_answered_by_itself() -> None:
    """Some servers name what they were asked for."""
    assert found(with_flows(("name", NAME)), NAME) == "name"


def test_the_addresses_of_a_name_are_bounded() -> None:
    """The oldest is forgotten, and learned again where it comes again."""
    slots = with_flows(("name", NAME))
    addresses = [Endpoint(f"192.0.2.{number}", 53) for number in range(MAX_ALIASES + 2)]
    for address in addresses:
        assert slots.learn(address) == "name"
    assert [found(slots, address) for address in addresses] == [None] * 2 + ["name"] * MAX_ALIASES
    assert slots.learn(addresses[0]) == "name"


def test_a_port_is_kept_after_a_name() -> None:
    """No flow to it is taken while something late may come, which is nobody's."""
    slots = with_flows(("name", NAME))
    slots.learn(DNS)
    slots.remove("name", NOW)
    assert [found(slots, remote) for remote in (NAME, DNS)] == [None, None]
    assert slots.learn(DNS) is None
    for remote in (DNS, OTHER_DNS, NAME, OTHER_NAME):
        assert not slots.takes(remote, LATER - 0.1)
    assert slots.takes(WEB, NOW)
    for remote in (DNS, OTHER_DNS, NAME, OTHER_NAME):
        assert slots.takes(remote, LATER)


def test_a_name_comes_to_a_port_when_nothing_late_can_come_any_more() -> None:
    """What is meant for a flow to an address that has ended could be read as its own."""
    slots = with_flows(("dns", DNS), ("other", OTHER_DNS))
    slots.remove("dns", NOW)
    slots.remove("other", NOW + 1)
    assert not slots.takes(NAME, LATER)
    assert slots.takes(NAME, LATER + 1)
