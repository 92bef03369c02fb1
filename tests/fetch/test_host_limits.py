"""A host gets what it can bear, in turns with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.scheduling.host_limits import HostLimits

HOSTS = ["a", "b", "c"]


def taken(limits: HostLimits[int], now: float = 0.0) -> list[tuple[str, int]]:
    """All that may be asked now."""
    found = []
    while (one := limits.take(now)) is not None:
        found.append(one)
    return found


def test_hosts_take_turns_and_each_keeps_its_order() -> None:
    limits: HostLimits[int] = HostLimits(6, 4)
    for item in range(8):
        limits.put("many", item)
    limits.put("few", 100)
    assert taken(limits) == [("many", 0), ("few", 100), ("many", 1), ("many", 2), ("many", 3)]
    limits.finish("many", State.ok, "200", started=0, now=1)
    assert taken(limits, 1) == [("many", 4)]


def test_what_comes_first_is_asked_first() -> None:
    limits: HostLimits[int] = HostLimits(1, 1)
    limits.put("a", 1)
    limits.put("a", 2, first=True)
    assert limits.take(0) == ("a", 2)


def test_trouble_halves_a_limit_once_for_all_that_were_under_way() -> None:
    limits: HostLimits[int] = HostLimits(100, 16, failures=100)
    for item in range(40):
        limits.put("a", item)
    assert len(taken(limits)) == 16
    for _ in range(16):
        limits.finish("a", State.temporary, "503", started=0, now=1)
    assert limits.limit("a") == 8
    assert len(taken(limits, 1)) == 8
    limits.finish("a", State.temporary, "503", started=1, now=2)
    assert limits.limit("a") == 4


def test_a_limit_grows_by_one_after_as_many_answers_as_it_is_and_never_beyond_the_setting() -> None:
    limits: HostLimits[int] = HostLimits(100, 4, failures=100)
    limits.put("a", 0)
    limits.take(0)
    limits.finish("a", State.too_slow, "slow", started=0, now=0)
    grown = []
    for item in range(20):
        limits.put("a", item)
        limits.take(0)
        limits.finish("a", State.gone, "404", started=0, now=0)  # an answer is an answer
        grown.append(limits.limit("a"))
    assert grown[:6] == [2, 3, 3, 3, 4, 4]
    assert max(grown) == 4


def test_a_limit_is_never_below_one() -> None:
    limits: HostLimits[int] = HostLimits(100, 2, failures=100)
    for item in range(10):
        limits.put("a", item)
        limits.take(item)
        limits.finish("a", State.temporary, "time-out", started=item, now=item)
    assert limits.limit("a") == 1


def test_a_host_that_asks_for_a_pause_gets_it_and_others_go_on() -> None:
    limits: HostLimits[int] = HostLimits(10, 1)
    for item in range(3):
        limits.put("a", item)
        limits.put("b", item)
    limits.take(0)
    limits.take(0)
    assert limits.finish("a", State.temporary, "429", started=0, now=0, retry_after=5) == []
    limits.finish("b", State.ok, "200", started=0, now=0)
    assert limits.take(0) == ("b", 1)
    assert limits.take(4.9) is None
    assert not limits.has_next(4.9)
    assert limits.has_next(5.0)
    assert limits.take(5.0) == ("a", 1)


def test_a_pause_that_is_too_long_gives_the_urls_back() -> None:
    limits: HostLimits[int] = HostLimits(10, 1, longest_pause=60)
    for item in range(3):
        limits.put("a", item)
    limits.take(0)
    assert limits.finish("a", State.temporary, "429", started=0, now=0, retry_after=3600) == [1, 2]
    rest = limits.rest("a", 10)
    assert rest is not None
    assert (rest.until, rest.state, rest.answer) == (3600, State.temporary, "429")
    assert limits.rest("a", 3601) is None


@pytest.mark.parametrize("state", [State.temporary, State.tls, State.no_such_host])
def test_a_host_that_fails_in_a_row_rests_and_then_is_tried_with_one_request(state: State) -> None:
    limits: HostLimits[int] = HostLimits(10, 8, failures=3, rest_seconds=60)
    for item in range(8):
        limits.put("a", item)
    given_up = []
    for _ in range(3):
        limits.take(0)
        given_up += limits.finish("a", state, "refused", started=0, now=0)
    assert given_up == [3, 4, 5, 6, 7]
    rest = limits.rest("a", 59)
    assert rest is not None
    assert (rest.state, rest.answer) == (state, "refused (3 failures in a row)")
    assert limits.rest("a", 60) is None
    for item in range(4):
        limits.put("a", item)
    assert taken(limits, 60) == [("a", 0)]
    assert limits.finish("a", state, "refused", started=60, now=61) == [1, 2, 3]
    rest = limits.rest("a", 180)
    assert rest is not None, "the second rest is twice as long"
    assert limits.rest("a", 181) is None


def test_an_answer_between_failures_keeps_a_host_from_resting() -> None:
    limits: HostLimits[int] = HostLimits(10, 1, failures=3)
    for item in range(12):
        limits.put("a", item)
    for state in [State.temporary, State.temporary, State.forbidden] * 3:
        limits.take(0)
        assert limits.finish("a", state, "x", started=0, now=0) == []
    assert limits.rest("a", 0) is None


def test_a_crawl_delay_spaces_requests() -> None:
    limits: HostLimits[int] = HostLimits(10, 8)
    limits.set_delay("a", 2.0, 0)
    for item in range(3):
        limits.put("a", item)
    assert limits.take(0) == ("a", 0)
    limits.finish("a", State.ok, "200", started=0, now=0.1)
    assert limits.take(1.9) is None
    assert limits.take(2.0) == ("a", 1)
    assert limits.limit("a") == 1


def test_a_crawl_delay_is_kept_by_all_processes_together() -> None:
    asked: list[float] = []
    for turn in range(4):
        limits: HostLimits[int] = HostLimits(10, 8, longest_pause=3)
        for item in range(3):
            limits.set_delay("a", 2.0, 0, sharing=4, turn=turn)
            limits.put("a", item)
        for tick in range(200):
            if limits.take(tick / 10) is not None:
                asked.append(tick / 10)
                assert limits.finish("a", State.ok, "200", started=0, now=tick / 10) == []
    assert sorted(asked)[:10] == [2.0 * number for number in range(10)]


def test_a_crawl_delay_that_is_too_long_leaves_the_rest_to_the_next_run() -> None:
    limits: HostLimits[int] = HostLimits(10, 8, longest_pause=60)
    limits.set_delay("a", 3600, 0)
    for item in range(3):
        limits.put("a", item)
    limits.take(0)
    assert limits.finish("a", State.ok, "200", started=0, now=1) == [1, 2]
    rest = limits.rest("a", 2)
    assert rest is not None
    assert rest.answer == "Crawl-delay: 3600"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "finish"]),
            st.sampled_from(HOSTS),
            st.sampled_from([State.ok, State.gone, State.temporary, State.tls]),
            st.sampled_from([0.0, 1.0, 100.0]),
        ),
        max_size=200,
    )
)
def test_nothing_is_lost_or_asked_twice_and_no_bound_is_crossed(
    steps: list[tuple[str, str, State, float]],
) -> None:
    limits: HostLimits[int] = HostLimits(4, 3, failures=4, rest_seconds=10, longest_pause=50)
    now, put = 0.0, 0
    running: list[str] = []
    seen: list[int] = []
    for step, host, state, pause in steps:
        now += 0.5
        if step == "put" and limits.rest(host, now) is None:
            limits.put(host, put)
            put += 1
        elif step == "take":
            if (one := limits.take(now)) is not None:
                running.append(one[0])
                seen.append(one[1])
        elif step == "finish" and running:
            name = running.pop(0)
            seen += limits.finish(name, state, "x", started=now - 1, now=now, retry_after=pause)
        assert len(running) == limits.running <= 4
        assert all(running.count(name) <= 3 and 1 <= limits.limit(name) <= 3 for name in HOSTS)
    for _ in range(300):  # time passes, all answer
        now += 100
        while (one := limits.take(now)) is not None:
            running.append(one[0])
            seen.append(one[1])
        while running:
            limits.finish(running.pop(), State.ok, "200", started=now, now=now)
    assert sorted(seen) == list(range(put))
    assert limits.waiting == limits.running == 0
