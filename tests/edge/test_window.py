"""The link's decisions: when a frame is sent again, and when it is given up."""

from __future__ import annotations

from edge.window import Window


def snub(window: Window, now: float, frame: str = "bad", other: bool = True) -> float:
    """Send `frame`, which gets no receipt, and another one, which does. Returns the time after it has rested."""
    window.sent(frame, 100, now)
    if other:
        window.sent("good", 100, now)
        window.receipt("good")
    now += window.timeout
    window.expire(now)
    return max(now, window.resting[frame][1])


def test_window__a_frame_without_receipt_is_given_up_while_others_get_theirs() -> None:
    window, now = Window(4, 30.0, give_up=5), 0.0
    for _ in range(4):
        now = snub(window, now)
        assert window.hopeless() == {}
    snub(window, now)
    found = window.hopeless()
    assert list(found) == ["bad"]
    assert "no receipt after 5 tries" in found["bad"]
    assert window.hopeless() == {}


def test_window__nothing_is_given_up_while_nobody_gets_a_receipt() -> None:
    window, now = Window(4, 30.0, give_up=2), 0.0
    for _ in range(20):
        now = snub(window, now, other=False)
    assert window.hopeless() == {}
    assert window.silent == 20


def test_window__a_receipt_makes_good() -> None:
    window, now = Window(4, 30.0, give_up=3), 0.0
    for _ in range(2):
        now = snub(window, now)
    window.receipt("bad")
    assert window.silent == 0
    now = snub(window, now)
    assert window.hopeless() == {}


def test_window__what_the_broker_refuses_rests_and_says_why() -> None:
    window, now = Window(4, 30.0, give_up=2), 0.0
    for _ in range(3):
        assert window.hopeless() == {}
        window.sent("bad", 100, now)
        window.sent("good", 100, now)
        window.receipt("good")
        window.refused("bad", "Quota exceeded", now)
        assert "bad" in window.blocked(now + 29.0)
        now += 60.0
    assert window.hopeless() == {"bad": "the broker refuses it: Quota exceeded"}
    window.refused("unknown", "whatever", now)


def test_window__a_connection_that_ends_is_not_a_frames_fault() -> None:
    window = Window(4, 30.0)
    for now in (1.0, 2.0):
        for frame in "abc":
            window.sent(frame, 100, now)
        window.lost(now)
        assert window.blocked(now) == set()
    assert window.resent == 6


def test_window__a_frame_that_ends_connections_is_found_and_given_up() -> None:
    window, now, waiting, sent = Window(4, 1.0, give_up=3), 0.0, ["bad", *"abcdefgh"], []
    hopeless: dict[str, str] = {}
    for _ in range(400):
        now += 0.1
        while window.room() and (frame := next((f for f in waiting if f not in window.blocked(now)), None)):
            window.sent(frame, 100, now)
            sent.append(frame)
            if frame == "bad":
                window.lost(now)
                break
        for frame in list(window.flights):
            window.receipt(frame)
            waiting.remove(frame)
            waiting.append(f"{frame}+")
        hopeless |= window.hopeless()
        if hopeless:
            break
    assert list(hopeless) == ["bad"]
    assert "connection ended" in hopeless["bad"]
    assert sent.count("bad") < 12


def test_window__no_frame_is_given_up_when_every_connection_ends() -> None:
    window, now = Window(4, 1.0, give_up=2), 0.0
    for _ in range(100):
        now += 10.0
        for frame in "abcd":
            if window.room() and frame not in window.blocked(now):
                window.sent(frame, 100, now)
        window.lost(now)
    assert window.hopeless() == {}


def test_window__a_suspect_goes_alone() -> None:
    window = Window(8, 1.0)
    for now in range(3):
        window.sent("bad", 100, float(now))
        window.lost(float(now))
    window.sent("other", 100, 50.0)
    assert "bad" in window.blocked(50.0)
    window.receipt("other")
    assert "bad" not in window.blocked(50.0)
    window.sent("bad", 100, 50.0)
    assert not window.room()
    window.receipt("bad")
    assert window.room()
