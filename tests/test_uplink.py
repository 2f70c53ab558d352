from cctv_images.uplink import UplinkGate, Verdict


def feed(gate: UplinkGate, start: float, results: str) -> list[str]:
    """One camera a second: x failed, . gave a picture. Returns the events."""
    return [event for i, r in enumerate(results) if (event := gate.record(f"c{i}", start + i, r == "x"))]


def test_half_of_at_least_ten_within_a_minute_raises_the_suspicion_once() -> None:
    gate = UplinkGate(900)
    assert feed(gate, 0, "....." + "xxxxx" + "xxxxx") == ["uplink_suspected"]
    assert gate.verdict(15) is Verdict.HELD


def test_a_camera_counts_once_however_often_it_was_heard_within_the_minute() -> None:
    gate = UplinkGate(900)
    for second in range(30):
        assert gate.record(f"c{second % 10}", second, failed=False) is None
    assert [gate.record(f"c{n}", 30 + n, failed=True) for n in range(5)] == [None] * 4 + ["uplink_suspected"]
    often = UplinkGate(900)
    assert not any(often.record(f"c{second % 9}", second, failed=True) for second in range(50))


def test_nine_results_are_not_enough() -> None:
    gate = UplinkGate(900)
    assert feed(gate, 0, "x" * 9) == []
    assert gate.verdict(9) is Verdict.CLEAR


def test_results_older_than_a_minute_do_not_speak() -> None:
    gate = UplinkGate(900)
    assert feed(gate, 0, "xxxx") == []
    assert feed(gate, 120, "." * 6) == []


def test_bad_last_ten_among_many_good_ones_ask_for_patience() -> None:
    gate = UplinkGate(900)
    feed(gate, 0, "." * 30 + "xxxxx")
    assert gate.verdict(35) is Verdict.SUSPICIOUS
    assert gate.verdict(100) is Verdict.CLEAR


def test_the_hold_runs_out_and_is_not_renewed_until_recovery_has_been_seen() -> None:
    gate = UplinkGate(900)
    feed(gate, 0, "x" * 20)
    assert gate.verdict(905) is Verdict.HELD
    assert gate.verdict(915) is Verdict.CLEAR
    assert feed(gate, 915, "x" * 20) == []
    assert gate.verdict(940) is Verdict.CLEAR


def test_recovery_is_one_event_and_clears_the_gate() -> None:
    gate = UplinkGate(900)
    feed(gate, 0, "x" * 12)
    assert feed(gate, 100, "." * 12) == ["uplink_recovered"]
    assert gate.suspected_since is None
    assert gate.verdict(112) is Verdict.CLEAR


def test_a_small_fleet_recovers_by_its_last_ten_however_slowly_they_come() -> None:
    gate = UplinkGate(900)
    feed(gate, 0, "x" * 10)
    events = [gate.record(f"c{n}", 400 + 300 * n, False) for n in range(8)]
    assert events.count("uplink_recovered") == 1


def test_a_hold_of_zero_switches_the_gate_off() -> None:
    gate = UplinkGate(0)
    assert feed(gate, 0, "x" * 100) == []
    assert gate.verdict(100) is Verdict.CLEAR
