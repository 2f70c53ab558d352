import math

from hypothesis import given
from hypothesis import strategies as st

from cctv_images.schedule import Timetable, first_delay, fraction

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
moments = st.floats(0, 1e8)


def test_a_phase_is_the_same_after_each_restart() -> None:
    one = Timetable.of("134", 300, epoch_offset=1.7e9)
    two = Timetable.of("134", 300, epoch_offset=1.7e9 + 12345.6)  # another boot: another monotonic zero
    wall_one = one.slot_after(50_000.0) + 1.7e9
    wall_two = two.slot_after(60_000.0) + 1.7e9 + 12345.6
    assert math.isclose((wall_two - wall_one) / 300, round((wall_two - wall_one) / 300), abs_tol=1e-6)


def test_phases_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(5000):
        tenths[int(fraction(f"camera-{number}") * 10)] += 1
    assert min(tenths) > 420
    assert max(tenths) < 580


@given(ids, moments, st.floats(1, 86400))
def test_the_next_slot_is_ahead_by_at_most_one_interval(camera_id: str, now: float, interval: float) -> None:
    slot = Timetable.of(camera_id, interval, 1.7e9).slot_after(now)
    assert now < slot <= now + interval * 1.0001 + 1e-3


@given(ids, moments, st.floats(1, 86400))
def test_a_slot_closer_than_half_an_interval_to_the_first_cycle_is_merged(
    camera_id: str, first: float, interval: float
) -> None:
    second = Timetable.of(camera_id, interval, 1.7e9).second_slot(first)
    assert interval * 0.4999 - 1e-3 <= second - first <= interval * 1.5001 + 1e-3


@given(st.floats(0, 5000))
def test_an_overrun_skips_the_slots_that_have_passed_and_counts_them(overrun: float) -> None:
    table = Timetable.of("a", 100, 1.7e9)
    slot = table.slot_after(1000)
    following, missed = table.next_slot(slot, slot + overrun)
    assert following > slot + overrun
    assert following - (slot + overrun) <= 100.001
    assert missed == round((following - slot) / 100) - 1


def test_a_cycle_in_time_misses_nothing() -> None:
    table = Timetable.of("a", 100, 1.7e9)
    slot = table.slot_after(1000)
    following, missed = table.next_slot(slot, slot + 99)
    assert (round(following - slot, 3), missed) == (100.0, 0)


def test_first_cycles_fill_the_spread_and_never_exceed_the_interval() -> None:
    assert max(first_delay(str(n), 60, 300) for n in range(500)) < 60
    assert max(first_delay(str(n), 60, 5) for n in range(500)) < 5
    assert first_delay("a", 0, 300) == 0
