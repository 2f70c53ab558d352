from itertools import product

import pytest

from cctv_images.errors import MEANINGS, CameraError, ErrorState, ReasonClass, plain
from cctv_images.states import (
    CameraState,
    Failure,
    Health,
    Policy,
    Show,
    Step,
    after_failure,
    after_picture,
    revived,
)

TIMEOUT = Failure(ErrorState.TIMEOUT)
REFUSED = Failure(ErrorState.AUTH)
GARBLED = Failure(ErrorState.NOT_AN_IMAGE)
HELD = Failure(ErrorState.UNREACHABLE, held=True)
WITHHELD = Failure(ErrorState.AUTH, counts=False)


def step(state: CameraState, outcome: Failure | None, policy: Policy) -> Step:
    return after_picture(state) if outcome is None else after_failure(state, outcome, policy)


def walk(road: list[Failure | None], policy: Policy | None = None) -> tuple[CameraState, list[Step]]:
    state, steps = CameraState(), []
    for outcome in road:
        if state.health is Health.DISABLED:
            break
        steps.append(step(state, outcome, policy or Policy()))
        state = steps[-1].state
    return state, steps


def test_every_road_of_six_outcomes_tells_the_truth() -> None:
    for road in product([None, TIMEOUT, GARBLED, REFUSED, HELD, WITHHELD], repeat=6):
        public: str | ReasonClass = "unknown"  # what people see: the picture, or the reason that the fallback names
        state = CameraState()
        for outcome in road:
            if state.health is Health.DISABLED:
                break
            made = step(state, outcome, Policy())
            if made.show is Show.PICTURE:
                public = "picture"
            elif made.show is Show.FALLBACK:
                assert made.state.told is not None
                assert made.state.told is not public, "put again although nothing changed"
                public = made.state.told
            state = made.state
            if state.health is Health.OK:
                assert public == "picture"
                assert state == CameraState(Health.OK)
            elif outcome is not None and not outcome.held:
                assert public is outcome.error_state.meaning.told, road
            if state.health is Health.DISABLED:
                assert isinstance(public, ReasonClass), road
            assert (state.told is None) == (public in ("picture", "unknown")), road


def test_a_camera_is_disabled_after_five_failed_cycles_in_a_row() -> None:
    state, steps = walk([TIMEOUT] * 9)
    assert state.health is Health.DISABLED
    assert len(steps) == 5
    assert [s.event for s in steps] == ["camera_failing", None, None, None, "camera_disabled"]


def test_a_picture_in_between_starts_the_count_again() -> None:
    state, steps = walk([TIMEOUT] * 4 + [None] + [TIMEOUT] * 4)
    assert state.health is Health.FAILING
    assert steps[4].event == "camera_recovered"


def test_two_refused_cycles_disable_and_a_timeout_between_them_does_not_add_up() -> None:
    assert walk([REFUSED, REFUSED])[0].health is Health.DISABLED
    assert walk([REFUSED, TIMEOUT, REFUSED])[0].health is Health.FAILING


def test_no_limit_means_never_disabled() -> None:
    assert walk([TIMEOUT] * 10_000, Policy(failure_limit=0))[0].health is Health.FAILING


def test_the_fallback_is_called_for_once_as_long_as_its_reason_is_the_same() -> None:
    _, steps = walk([TIMEOUT, TIMEOUT, Failure(ErrorState.DNS), Failure(ErrorState.UNREACHABLE)])
    assert [s.show for s in steps] == [Show.FALLBACK] + [Show.NOTHING] * 3


def test_the_fallback_is_called_for_again_when_the_reason_that_it_names_changes() -> None:
    _, steps = walk([TIMEOUT, GARBLED, GARBLED, REFUSED], Policy(fallback_after=1))
    assert [s.show for s in steps] == [Show.FALLBACK, Show.FALLBACK, Show.NOTHING, Show.FALLBACK]
    assert steps[-1].state.told is ReasonClass.BEING_CHECKED


def test_a_change_of_reason_is_not_shown_while_fallbacks_are_held_or_none_is_due_yet() -> None:
    _, steps = walk([GARBLED, HELD, GARBLED])
    assert [s.show for s in steps] == [Show.FALLBACK, Show.NOTHING, Show.NOTHING]
    _, steps = walk([GARBLED, TIMEOUT, GARBLED], Policy(fallback_after=3))
    assert [s.show for s in steps] == [Show.NOTHING, Show.NOTHING, Show.FALLBACK]


def test_the_fallback_waits_for_as_many_failures_as_the_policy_says() -> None:
    _, steps = walk([TIMEOUT] * 3, Policy(fallback_after=3))
    assert [s.show for s in steps] == [Show.NOTHING, Show.NOTHING, Show.FALLBACK]


def test_a_disabled_camera_shows_the_fallback_however_patient_the_policy() -> None:
    _, steps = walk([REFUSED] * 2, Policy(fallback_after=9))
    assert steps[-1].show is Show.FALLBACK


def test_held_failures_count_for_nothing_and_show_nothing() -> None:
    state, steps = walk([None] + [HELD] * 50)
    assert state.failures == 0
    assert state.health is Health.FAILING
    assert all(s.show is Show.NOTHING for s in steps[1:])


def test_a_withheld_login_disables_nobody_but_people_see_the_fallback() -> None:
    state, steps = walk([None] + [WITHHELD] * 50)
    assert state.health is Health.FAILING
    assert steps[1].show is Show.FALLBACK


def test_a_change_of_reason_is_an_event_and_the_same_reason_is_none() -> None:
    _, steps = walk([TIMEOUT, Failure(ErrorState.BUSY), Failure(ErrorState.BUSY)])
    assert [s.event for s in steps] == ["camera_failing", "camera_failing", None]


def test_a_scouting_failure_of_a_disabled_camera_is_no_news() -> None:
    state, _ = walk([TIMEOUT] * 5)
    assert after_failure(state, TIMEOUT, Policy()).event is None


def test_a_revived_camera_starts_a_new_count_and_stays_blind_until_a_picture() -> None:
    state = revived(walk([TIMEOUT] * 5)[0])
    assert (state.health, state.failures, state.told) == (Health.FAILING, 0, ReasonClass.NOT_REACHABLE)
    assert after_failure(state, TIMEOUT, Policy()).show is Show.NOTHING


def test_every_error_state_has_a_meaning_and_a_remedy() -> None:
    assert set(MEANINGS) == set(ErrorState)
    assert all(m.means and m.remedy for m in MEANINGS.values())


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\r\n", "\ud800", "x" * 5000, "\u202eevil", "ok"])
def test_foreign_text_becomes_one_printable_line(text: str) -> None:
    shown = CameraError(ErrorState.BAD_RESPONSE, text).detail
    assert shown.isprintable()
    assert len(shown) <= 200
    assert plain("naïve Skåbu") == "naïve Skåbu"
