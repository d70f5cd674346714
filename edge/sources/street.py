"""The synthetic street as a camera.

``street:`` alone, or with options: ``street:seed=3,hour=22,rain=0.5,width=640,height=360,fps=10,frames=500``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from edge.sources import Frame, Source, SourceError
from edge.sources.pacing import Pacer
from edge.street.camera import Street

PREFIX = "street:"
DEFAULT_RATE = 10.0
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31), "width": (64, 3840), "height": (64, 2160), "hour": (0, 24), "rain": (0, 1),
    "density": (0.05, 5), "noise": (0, 60), "defocus": (0, 30), "shake": (0, 20), "motion": (0, 1), "fps": (0.1, 120),
    "frames": (0, 10**9), "start": (0, 10**6),
}  # fmt: skip
"""Options and their bounds. `frames` 0 never ends; `start` is the first second."""
WHOLE = ("seed", "width", "height", "frames")


def parse(source: str) -> dict[str, float]:
    """Return the options in `source`. Raises SourceError naming the wrong one."""
    options: dict[str, float] = {}
    for item in filter(None, source.removeprefix(PREFIX).split(",")):
        key, _, text = (part.strip() for part in item.partition("="))
        if key not in LIMITS:
            raise SourceError(f"{source}: no option {key!r}; there are {', '.join(LIMITS)}", lasting=True)
        low, high = LIMITS[key]
        try:
            value = float(text)
        except ValueError:
            raise SourceError(f"{source}: {key} must be a number, not {text!r}", lasting=True) from None
        if not low <= value <= high or (key in WHOLE and value != int(value)):
            kind = "a whole number" if key in WHOLE else "a number"
            raise SourceError(f"{source}: {key} must be {kind} from {low:g} to {high:g}", lasting=True)
        options[key] = value
    return options


class StreetCamera:
    """The synthetic street, played. Implements `edge.sources.Source`; `street` renders any moment with its truth."""

    recorded = True

    def __init__(self, options: dict[str, float], camera: str, paced: bool = False, loop: bool = False) -> None:
        self.live, self._camera, self._loop = paced, camera, loop
        self._frames, self._start = int(options.get("frames", 0)), options.get("start", 0.0)
        self._fps = options.get("fps", DEFAULT_RATE)
        self.rate: float | None = self._fps
        self._stop = threading.Event()
        self.street = Street(
            seed=int(options.get("seed", 0)), width=int(options.get("width", 640)),
            height=int(options.get("height", 360)),
            hour=options.get("hour", 13.0), rain=options.get("rain", 0.0), density=options.get("density", 1.0),
            noise=options.get("noise"), defocus=options.get("defocus", 0.0), shake=options.get("shake", 0.0),
            motion=bool(options.get("motion", 1.0)),
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the last one, or for ever."""
        opened, pacer, index = datetime.now(UTC), Pacer(self._stop), 0
        while not self._stop.is_set() and (self._loop or not self._frames or index < self._frames):
            moment = (index % self._frames if self._frames else index) / self._fps
            if self.live and not pacer.wait(index / self._fps):
                return
            image, _ = self.street.render(self._start + moment)
            at = None if self.live else opened + timedelta(seconds=index / self._fps)
            yield Frame.now(image, self._camera, index, at=at)
            index += 1

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()


class StreetKind:
    """The member of `edge.sources` for the synthetic street."""

    name = "street"

    def matches(self, source: str) -> bool:
        """True for ``street:`` and whatever follows."""
        return source.startswith(PREFIX)

    def open(self, source: str, camera: str, **options: Any) -> Source:
        """Open the street. Options: ``fps``, ``seed`` (the string wins), ``paced``, ``loop``. Raises SourceError."""
        chosen = parse(source)
        for key in ("fps", "seed"):
            if options.get(key) is not None:
                chosen.setdefault(key, float(options[key]))
        return StreetCamera(chosen, camera, bool(options.get("paced")), bool(options.get("loop")))


SOURCE = StreetKind()
