"""Which state of a rollout may follow which. Pure."""

from __future__ import annotations

from typing import Final, Literal

from central.releases.rollout import RolloutError

Action = Literal["start", "pause", "resume", "abort", "rollback"]
"""What people do."""
BY_PEOPLE: Final[dict[Action, tuple[tuple[str, ...], str]]] = {
    "start": (("planned",), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused", "halted"), "running"),
    "abort": (("planned", "running", "paused", "halted"), "aborted"),
    "rollback": (("running", "paused", "halted", "done", "aborted"), "rolling_back"),
}
"""From which states, to which one."""
BY_ITSELF: Final[dict[str, tuple[str, ...]]] = {
    "running": ("halted", "done"),
    "halted": ("rolling_back",),
    "rolling_back": ("rolled_back",),
}
"""What the centre does without being told."""


def after(action: Action, state: str) -> str:
    """Return the state that `action` makes of `state`. Raises RolloutError where it cannot be done there."""
    sources, target = BY_PEOPLE[action]
    if state not in sources:
        raise RolloutError(f"{action}: the rollout is {state.replace('_', ' ')}, not {' or '.join(sources)}")
    return target


def possible(state: str) -> list[Action]:
    """Return what people may do with a rollout in `state`."""
    return [action for action, (sources, _) in BY_PEOPLE.items() if state in sources]


def check(before: str, to: str) -> None:
    """Raise RolloutError where the centre may not go from `before` to `to` by itself."""
    if to not in BY_ITSELF.get(before, ()):
        raise RolloutError(f"a rollout does not go from {before} to {to} by itself")
