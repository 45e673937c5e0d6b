from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sockslocal.net.flows import ACTIVE_S, FlowTable


@dataclass(frozen=True)
class Flow:
    """A flow as the table knows it."""

    name: int
    idle_s: float = 60.0


A, B, C = Flow(1), Flow(2), Flow(3)


def test_empty() -> None:
    """An empty table has room, and nothing in it."""
    table: FlowTable[Flow] = FlowTable(1)
    assert len(table) == 0
    assert A not in table
    assert table.room(0) is True
    assert table.idle(1e9) == []


def test_touch_adds_once() -> None:
    """A flow is in the table from its first use on, once."""
    table: FlowTable[Flow] = FlowTable(2)
    table.touch(A, 0)
    table.touch(A, 1)
    assert len(table) == 1
    assert A in table


def test_discard() -> None:
    """A discarded flow leaves room; discarding an unknown one does nothing."""
    table: FlowTable[Flow] = FlowTable(1)
    table.touch(A, 0)
    table.discard(A)
    table.discard(B)
    assert A not in table
    assert table.room(0) is True


def test_flows_may_end_while_all_are_looked_through() -> None:
    """In the order of their last use."""
    table: FlowTable[Flow] = FlowTable(3)
    for second, flow in enumerate((A, B, C, A)):
        table.touch(flow, second)
    seen = []
    for flow in table:
        seen.append(flow)
        table.discard(C)
    assert seen == [B, C, A]


def test_no_room_beside_active_flows() -> None:
    """A spray of new flows evicts none that is in use."""
    table: FlowTable[Flow] = FlowTable(2)
    table.touch(A, 0)
    table.touch(B, 1)
    assert table.room(ACTIVE_S - 0.001) is False


def test_the_longest_idle_makes_room() -> None:
    """What makes room is the flow that was used least lately, once it is no longer active."""
    table: FlowTable[Flow] = FlowTable(2)
    table.touch(A, 0)
    table.touch(B, 1)
    assert table.room(ACTIVE_S) is A
    table.touch(A, ACTIVE_S)
    assert table.room(ACTIVE_S + 1) is B


def test_asking_evicts_nobody() -> None:
    """`room` names the flow; who asked ends and discards it."""
    table: FlowTable[Flow] = FlowTable(1)
    table.touch(A, 0)
    assert table.room(ACTIVE_S) is A
    assert A in table


def test_idle() -> None:
    """Each flow is idle after its own time."""
    brief, long = Flow(1, idle_s=5), Flow(2, idle_s=50)
    table: FlowTable[Flow] = FlowTable(10)
    table.touch(long, 0)
    table.touch(brief, 10)
    assert table.idle(14.9) == []
    assert table.idle(15) == [brief]
    assert table.idle(50) == [long, brief]
    table.touch(brief, 50)
    assert table.idle(50) == [long]


STEPS = st.tuples(st.sampled_from(["use", "discard", "wait"]), st.integers(0, 7), st.floats(0, 20))


@given(limit=st.integers(1, 5), steps=st.lists(STEPS, max_size=60))
def test_invariants(limit: int, steps: list[tuple[str, int, float]]) -> None:
    """Never more than the limit, as far as who uses the table asks for room; never an active one evicted."""
    table: FlowTable[Flow] = FlowTable(limit)
    model: dict[Flow, float] = {}
    now = 0.0
    for step, name, seconds in steps:
        flow = Flow(name, idle_s=5.0 * (name + 1))
        if step == "wait":
            now += seconds
        elif step == "discard":
            table.discard(flow)
            model.pop(flow, None)
        elif flow in model or may_add(table, model, now):
            table.touch(flow, now)
            model[flow] = now
        assert len(table) == len(model) <= limit
        assert all((flow in table) == (flow in model) for flow in map(Flow, range(8)))
        assert set(table.idle(now)) == {flow for flow, used in model.items() if now - used >= flow.idle_s}


def may_add(table: FlowTable[Flow], model: dict[Flow, float], now: float) -> bool:
    """Make room as the broker does."""
    room = table.room(now)
    if isinstance(room, Flow):
        assert model[room] == min(model.values()), "another was idle for longer"
        assert now - model[room] >= ACTIVE_S, "it was in use"
        table.discard(room)
        del model[room]
        return True
    return room
