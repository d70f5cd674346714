"""Which filters each of several connections asks the broker for.

all      everything: there is no other one
shared   the centre, which takes frames in turn with its workers (frames)
member   one of several servers: everything in turn, but every answer, and what is retained where it leads
lone     one of several servers at a broker that cannot share: everything where it leads, and every answer

What is retained goes to the one that leads: a broker sends retained messages to who asks for them plainly, and not to
those who share, so whoever begins to lead hears them all.
"""

from __future__ import annotations

from typing import Final, Literal

from protocols import topics

SHARE: Final = "$share/wayside-ingest/"
"""Before a filter: each message goes to one of those who ask so."""
Part = Literal["all", "shared", "frames", "member", "lone"]
PLAIN: Final = ("all", "lone")
"""What MQTT 3.1.1 can do."""
_RETAINED: Final = frozenset(c.name for c in topics.CHANNELS.values() if c.sender == "node" and c.retained)
_ANSWERS: Final = "reply"
_FETCHES: Final = "fetch"


def filters(prefix: str, part: Part, leads: bool = False, serves: bool = False) -> list[str]:
    """Return what `part` subscribes to; of several servers, whether this one `leads`, and `serves` what nodes fetch."""
    every = topics.subscriptions(prefix, "centre")
    frames = f"{prefix}/+/frames"
    if part == "frames":
        return [SHARE + frames]
    if part in PLAIN[1:] or part == "member":
        return [f for f in (_in_turn(prefix, f, part, leads, serves) for f in every) if f]
    return [SHARE + f if f == frames and part == "shared" else f for f in every]


def _in_turn(prefix: str, plain: str, part: Part, leads: bool, serves: bool) -> str:
    """Return what one of several servers asks for in place of the filter `plain`; empty: nothing."""
    channel = plain.removeprefix(f"{prefix}/+/").split("/")[0]
    if channel == _ANSWERS:
        return plain
    if channel == _FETCHES and not serves:
        return ""
    if channel in _RETAINED or part == "lone":
        return plain if leads else ""
    return SHARE + plain
