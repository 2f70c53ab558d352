"""What a reload does to running cameras, and when it is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctv_images.inventory.camera import Camera
from cctv_images.inventory.changes import ReloadRefused, changes
from cctv_images.inventory.parse import Inventory, RejectedRow
from cctv_images.masks import Mask


def camera(camera_id: str, host: str = "10.0.0.1") -> Camera:
    return Camera(camera_id, "axis", "Axis", host=host)


def fleet(*ids: str | int) -> dict[str, Camera]:
    return {str(i): camera(str(i)) for i in ids}


def rejected(*ids: str) -> list[RejectedRow]:
    return [RejectedRow(line, i, "there is no address") for line, i in enumerate(ids, 2)]


def paused(*ids: str | int) -> dict[str, Camera]:
    return {i: dataclasses.replace(c, enabled=False) for i, c in fleet(*ids).items()}


def test_new_ones_start_gone_ones_stop_changed_ones_restart_and_the_rest_is_not_touched() -> None:
    moved = camera("b", "10.0.0.2")
    new = Inventory({"a": camera("a"), "b": moved, "e": camera("e")}, paused("c"))
    found = changes(fleet("a", "b", "c", "d"), new)
    assert found.unchanged == fleet("a")
    assert found.restarted == {"b": moved}
    assert found.started == fleet("e")
    assert found.paused == paused("c")
    assert found.removed == fleet("d")
    assert not found.is_empty
    assert found.cameras == {"a": camera("a"), "b": moved, "e": camera("e")}


def test_a_row_that_became_unreadable_or_doubled_keeps_its_last_good_form() -> None:
    found = changes(fleet("a", "b"), Inventory(fleet("b"), rejected=rejected("a", "a", "z")))
    assert found.kept == fleet("a")
    assert found.cameras == fleet("a", "b")
    assert found.is_empty


def test_a_row_that_became_unreadable_still_gets_the_masks_of_the_file() -> None:
    mask = Mask(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    running = fleet("a", "b")
    found = changes(running, Inventory({}, rejected=rejected("a", "b"), masks={"a": (mask,)}))
    assert found.restarted["a"].choices.masks == (mask,)
    assert found.kept == fleet("b")
    assert changes(found.cameras, Inventory({}, rejected=rejected("a", "b"), masks={"a": (mask,)})).is_empty


def test_a_row_that_never_ran_is_not_started_because_it_is_bad() -> None:
    assert changes({}, Inventory({}, rejected=rejected("a"))).cameras == {}


def test_ten_cameras_may_go_however_few_there_are() -> None:
    assert len(changes(fleet(*range(10)), Inventory({})).removed) == 10
    with pytest.raises(ReloadRefused, match="11 of 11"):
        changes(fleet(*range(11)), Inventory({}))


def test_a_fifth_may_go_however_many_that_are() -> None:
    running = fleet(*range(100))
    assert len(changes(running, Inventory(fleet(*range(20, 100)))).removed) == 20
    with pytest.raises(ReloadRefused, match="21 of 100"):
        changes(running, Inventory(fleet(*range(21, 100))))


def test_pausing_everything_is_as_suspicious_as_removing_it() -> None:
    running = fleet(*range(50))
    with pytest.raises(ReloadRefused, match="0 removed, 50 paused"):
        changes(running, Inventory({}, paused(*range(50))))
    assert len(changes(running, Inventory({}, paused(*range(50))), force=True).paused) == 50


def test_unreadable_rows_do_not_count_as_going() -> None:
    ids = [str(n) for n in range(50)]
    assert changes(fleet(*ids), Inventory({}, rejected=rejected(*ids))).cameras == fleet(*ids)


ids = st.sampled_from([str(n) for n in range(40)])
hosts = st.sampled_from(["10.0.0.1", "10.0.0.2"])
fleets = st.dictionaries(ids, hosts, max_size=40).map(lambda d: {i: camera(i, h) for i, h in d.items()})


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """As parse makes them: an id is enabled, rejected or paused."""
    bad = draw(st.sets(ids))
    cameras = {i: c for i, c in draw(fleets).items() if i not in bad}
    return Inventory(cameras, paused(*(draw(st.sets(ids)) - bad - cameras.keys())), rejected(*sorted(bad)))


@given(fleets, inventories())
def test_every_camera_has_exactly_one_fate(running: dict[str, Camera], new: Inventory) -> None:
    found = changes(running, new, force=True)
    fates = [found.started, found.restarted, found.unchanged, found.kept, found.paused, found.removed]
    assert sum(map(len, fates)) == len(running.keys() | new.cameras.keys())
    assert found.unchanged.items() | found.kept.items() | found.removed.items() <= running.items()
    assert found.started.keys().isdisjoint(running)
    assert found.cameras == {i: running[i] for i in found.kept} | new.cameras


@given(fleets, inventories())
def test_the_same_inventory_once_more_changes_nothing(running: dict[str, Camera], new: Inventory) -> None:
    now = changes(running, new, force=True).cameras
    again = changes(now, new)
    assert again.cameras == now
    assert again.is_empty


@given(fleets, inventories())
def test_it_is_refused_exactly_when_more_than_ten_and_more_than_a_fifth_would_stop(
    running: dict[str, Camera], new: Inventory
) -> None:
    forced = changes(running, new, force=True)
    stopping = len(forced.paused) + len(forced.removed)
    if stopping > 10 and stopping > len(running) / 5:
        with pytest.raises(ReloadRefused):
            changes(running, new)
    else:
        assert changes(running, new) == forced
