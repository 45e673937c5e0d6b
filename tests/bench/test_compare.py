import os

from bench.compare import table
from bench.usage import usage


def test_the_table_has_medians_and_ratios_to_the_best_other() -> None:
    """Below 1 is better, for what should be little and for what should be much."""
    shown = table(
        {
            "ours": {"tcp_us": [100.0, 90.0, 300.0], "conn_s": [2000.0]},
            "one": {"tcp_us": [200.0], "conn_s": [1000.0]},
            "two": {"tcp_us": [400.0]},
        }
    )
    heading, ours, one, two = shown.splitlines()
    assert heading.split() == ["CPU", "µs/conn", "conn/s"]
    assert ours.split() == ["ours", "100", "(0.50)", "2000", "(0.50)"]
    assert one.split() == ["one", "200", "(2.00)", "1000", "(2.00)"]
    assert two.split() == ["two", "400", "(4.00)", "-"]


def test_a_forwarder_alone_has_no_ratio() -> None:
    """There is nothing to compare it with."""
    assert table({"ours": {"p50": [1.5]}}).split() == ["p50", "ms", "ours", "1.5"]


def test_usage_is_that_of_the_process() -> None:
    """CPU time only grows, and what is resident is more than an empty process."""
    before = usage(os.getpid())
    while usage(os.getpid()).cpu_seconds == before.cpu_seconds:
        sum(range(100_000))
    assert usage(os.getpid()).resident_bytes > 1_000_000
