"""Which nodes get a release, in which waves, and what each wave is judged by. Pure.

    plan, fleet -> groups in their order -> nodes in an order drawn by the seed -> waves

Sizes of waves count all nodes so far, so that a plan says how far a bad release can get; a group always ends a wave.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from central.releases.gates import gates
from central.releases.halting import FIRST_SHARE, GROWTH, Rule
from central.releases.halting import waves as growing
from central.releases.rollout import RolloutError
from protocols.messages import Identity, Label

SOAK_S: Final = 600.0
"""Seconds that a wave is watched after its last node has settled: crashes and heat take minutes to show."""
DEADLINE_S: Final = 3600.0
"""Seconds after which a node that was offered the release and has not settled counts as failed: a pack of some
megabytes takes minutes on the slowest of links."""
MAX_GROUPS: Final = 100
REST: Final = "rest"
"""Name of the group of nodes that no group names."""
WHOLE: Final = "fleet"

Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=30 * 86_400.0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: an unknown key is an error."""


class Group(_Strict, frozen=True, kw_only=True):
    """Nodes that belong together: those of a site, those with a camera that has a tag, and those named."""

    name: Identity
    sites: tuple[Identity, ...] = ()
    tags: tuple[Label, ...] = ()
    nodes: tuple[Identity, ...] = ()


class GateSettings(_Strict, frozen=True, kw_only=True):
    """How a plan uses a gate; what is None is the gate's own."""

    on: bool = True
    limit: Annotated[float, Meta(ge=0.0)] | None = None
    required: bool | None = None


class Plan(_Strict, frozen=True, kw_only=True):
    """What a rollout is to do. Everything may be left out."""

    groups: Annotated[tuple[Group, ...], Meta(max_length=MAX_GROUPS)] = ()
    rest: bool | None = None
    """Whether nodes in no group come last; None: where there are no groups."""
    waves: tuple[Annotated[int, Meta(ge=1)] | Annotated[str, Meta(pattern=r"^\d{1,3}(\.\d+)?%$")], ...] = ()
    """Nodes in all after each wave, as numbers or ``"10%"``; the last takes the rest. Empty: by `first`, `growth`."""
    first: Annotated[float, Meta(gt=0.0, le=1.0)] = FIRST_SHARE
    """Share of the nodes in the first wave; at least one."""
    growth: Annotated[float, Meta(gt=1.0, le=1000.0)] = GROWTH
    """How many times as many nodes have it after each further wave."""
    order: Literal["random", "name"] = "random"
    """Within a group: by chance, so that a wave stands for all; or by name."""
    seed: int = 0
    """Of the chance; a rollout draws its own where this is 0."""
    soak_s: Seconds = SOAK_S
    deadline_s: Annotated[float, Meta(gt=0.0, le=30 * 86_400.0)] = DEADLINE_S
    acceptable: Share = Rule.acceptable
    """Of the nodes: so many fail for reasons of their own."""
    significance: Share = Rule.significance
    on_halt: Literal["rollback", "hold"] = "rollback"
    """Whether a rollout that halted goes back by itself, or waits for a person."""
    gates: dict[str, GateSettings] = {}

    @property
    def rule(self) -> Rule:
        """The halting rule."""
        return Rule(self.acceptable, self.significance)


@dataclass(frozen=True)
class Member:
    """A node, as groups see it. `tags` are those of its cameras."""

    node: str
    site: str = ""
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wave:
    """Nodes that get the release at the same time."""

    group: str
    nodes: tuple[str, ...]


def parse(raw: Mapping[str, Any]) -> Plan:
    """Return the plan in `raw`. Raises RolloutError, which says what is wrong where."""
    try:
        plan = msgspec.convert(raw, Plan)
    except msgspec.ValidationError as error:
        raise RolloutError(f"plan: {error}") from None
    known = gates()
    for name in plan.gates:
        if name not in known:
            raise RolloutError(f"plan: no gate {name!r}; there are {', '.join(known)}")
    names = [group.name for group in plan.groups]
    if len(set(names)) < len(names) or {REST, WHOLE} & set(names):
        raise RolloutError(f"plan: groups need different names, and none may be {REST!r} or {WHOLE!r}")
    _shares([*plan.waves])
    return plan


def _shares(waves: Sequence[int | str]) -> None:
    percents = [float(w.rstrip("%")) for w in waves if isinstance(w, str)]
    if any(not 0 < p <= 100 for p in percents) or sorted(percents) != percents:
        raise RolloutError("plan: waves in percent must lie above 0, up to 100, and grow")
    counts = [w for w in waves if isinstance(w, int)]
    if sorted(counts) != counts:
        raise RolloutError("plan: waves must grow: each number counts all nodes so far")


def render(plan: Plan) -> dict[str, Any]:
    """Return `plan` as JSON keeps it."""
    found: dict[str, Any] = msgspec.to_builtins(plan)
    return found


def covers_all(plan: Plan) -> bool:
    """Whether every node is in `plan`, those that come later included."""
    return not plan.groups if plan.rest is None else plan.rest


def groups(plan: Plan, fleet: Iterable[Member]) -> list[tuple[str, list[str]]]:
    """Return the groups of `plan` in their order with their nodes by name; each node is in the first that takes it."""
    left = {m.node: m for m in sorted(fleet, key=lambda m: m.node)}
    found: list[tuple[str, list[str]]] = []
    for group in plan.groups:
        sites, tags, nodes = set(group.sites), set(group.tags), set(group.nodes)
        taken = [m.node for m in left.values() if m.site in sites or tags & m.tags or m.node in nodes]
        for node in taken:
            del left[node]
        found.append((group.name, taken))
    if covers_all(plan):
        found.append((REST if plan.groups else WHOLE, list(left)))
    return [(name, nodes) for name, nodes in found if nodes]


def sizes(plan: Plan, nodes: int) -> list[int]:
    """Return after each wave how many of `nodes` nodes have the release; the last is all of them."""
    if not plan.waves:
        return growing(nodes, plan.first, plan.growth)
    given = [w if isinstance(w, int) else max(1, round(nodes * float(w.rstrip("%")) / 100)) for w in plan.waves]
    steps = sorted({min(size, nodes) for size in given} | {nodes})
    return steps if nodes else []


def make(plan: Plan, fleet: Collection[Member]) -> list[Wave]:
    """Return the waves of `plan` through `fleet`. Raises RolloutError where no node is in it."""
    draw = random.Random(plan.seed)
    found = groups(plan, fleet)
    cuts = set(sizes(plan, sum(len(nodes) for _, nodes in found)))
    waves: list[Wave] = []
    done = 0
    for name, nodes in found:
        ordered = draw.sample(nodes, len(nodes)) if plan.order == "random" else nodes
        begin = 0
        for i in range(1, len(ordered) + 1):
            if done + i in cuts or i == len(ordered):
                waves.append(Wave(name, tuple(ordered[begin:i])))
                begin = i
        done += len(ordered)
    if not waves:
        raise RolloutError("plan: no node is in any of its groups; see 'wayside-central node list'")
    return waves
