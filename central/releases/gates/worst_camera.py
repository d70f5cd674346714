"""The worst camera: a pack that is better on average may be blind at one crossing."""

from __future__ import annotations

from central.releases.gates import Accuracy, Evidence, Verdict
from central.releases.gates.difference import Difference, difference
from central.releases.halting import Rule, must_halt

LIMIT = 0.25
"""Agreement at one camera: well below the fleet's, as one camera's few frames vary more."""
LEAST_FRAMES = 5
"""Frames of one camera below which its agreement is not looked at."""
LOSS = 0.05
"""Share of the objects, or boxes, that a camera certainly loses before it counts: there are many cameras, and by chance
alone some would seem to lose a little."""


def worse(camera: Accuracy) -> Difference | None:
    """Return what this camera certainly loses, None where nothing is certain."""
    changes = (
        difference(camera.found_before, camera.found_after), difference(camera.right_before, camera.right_after),
    )  # fmt: skip
    lost = [change for change in changes if change is not None and change.high < -LOSS]
    return min(lost, key=lambda change: change.value, default=None)


class WorstCamera:
    """Fails where more cameras lost what they saw than would for reasons of their own."""

    name = "worst_camera"
    does = "The lowest agreement of any one camera; cameras whose field accuracy certainly fell count as well."
    unit = "share of boxes"
    limit: float | None = LIMIT
    required = False

    def judge(self, evidence: Evidence, limit: float, rule: Rule) -> Verdict:
        """Judge each camera, then how many of them are bad."""
        agreed = {
            f"{n.node}/{camera.camera}": camera.agreement
            for n in evidence.nodes
            if n.shadow is not None
            for camera in n.shadow.cameras
            if camera.agreement is not None and camera.frames >= LEAST_FRAMES
        }
        lost = {camera.camera: change for camera in evidence.cameras if (change := worse(camera)) is not None}
        known = set(agreed) | {c.camera for c in evidence.cameras}
        if not known:
            text = f"no camera has {LEAST_FRAMES} frames with boxes yet"
            return Verdict(self.name, "not_enough", None, limit, text)
        reasons = {camera: f"agreement {value:.2f}" for camera, value in agreed.items() if value < limit}
        reasons |= {camera: str(change) for camera, change in lost.items()}
        value = min(agreed.values(), default=None)
        if must_halt(len(reasons), len(known), rule):
            first = min(reasons, key=lambda camera: (agreed.get(camera, 1.0), camera))
            text = f"{len(reasons)} of {len(known)} cameras lost what they saw; {first}: {reasons[first]}"
            return Verdict(self.name, "fail", value, limit, text)
        worst = min(agreed, key=lambda camera: agreed[camera], default="")
        text = f"{len(reasons)} of {len(known)} cameras below the limit" + (f"; lowest {worst}" if worst else "")
        return Verdict(self.name, "pass", value, limit, text)


GATE = WorstCamera()
