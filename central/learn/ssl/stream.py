"""From the stock to batches: each sample is a function of the seed and its place in the stream.

So a run that was interrupted goes on with exactly the inputs that it would have seen, with any number of workers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Dataset

from central.learn.data import Pixels
from central.learn.data.augment import FULL, Loaded, compose, drawn_sources
from central.learn.ssl import Batch, Needs
from central.learn.ssl.boxes import Boxes
from central.learn.ssl.clips import flow_of, moving_in
from central.learn.ssl.material import MaterialError, Stock
from central.learn.ssl.views import (
    BLURRED,
    MOST_BOXES,
    Crop,
    affine,
    close_crop,
    cut,
    place,
    recoloured,
    seen,
    shaken,
    snapped,
    two_crops,
    upright,
)  # fmt: skip

CACHE_BYTES: Final = 1_500_000_000
"""Decoded frames that all processes together keep; beyond it, the oldest are decoded again when needed."""
ENOUGH: Final = 2.0
"""A frame is kept with its shorter side so many times a view's: a crop of a third of it still fills a view."""
CLOSE_ENOUGH: Final = 4.0
"""The same where some views show one object: the small ones must not be lost."""
SCENE: Final = replace(FULL, grid=2, paste=0)
"""How scenes are changed: as detection does that learns from scratch, as far as time allows."""
LEAST_OBJECT: Final = 16.0
"""Pixels of the longer side of a box, as the frame is kept, that a view may show alone."""
MOST_IN_SCENE: Final = 64
"""Boxes of a scene, the largest."""
EVERYTHING: Final = np.ones(1, bool)
"""What a scene was looked through for: the one class that there is."""
EVENNESS: Final = 0.5
"""How far cameras of few frames are drawn more often: 0 not at all, 1 until all are seen equally often."""
TEMPORAL: Final = 0.5
"""Probability that the second view is of another moment, where a track goes there."""
GAPS: Final = (0.5, 2.0)
"""Seconds between the two."""
PAIRS: Final = 4
"""Pairs of crops that are tried until a box is in both."""

Sample = dict[str, NDArray[Any]]
"""By field of `Batch`, without its first axis; images ``[H, W, 3]`` BGR."""


class Moment(NamedTuple):
    """One frame of a sample, decoded."""

    frame: int
    image: Pixels
    boxes: NDArray[np.float32]
    """``[N, 4]`` shares; box n is the same thing in every moment of the sample."""


class Stream(Dataset[Sample]):
    """`length` samples of `stock` for views of `size` (height, width), with the parts that `needs` names.

    A share `close` of the views is of one object, where boxes are wanted and known; the others are of the scene.
    """

    def __init__(
        self, stock: Stock, boxes: Boxes | None, needs: Needs, size: tuple[int, int], length: int, seed: int,
        start: int = 0, workers: int = 0, close: float = 0.0,
    ) -> None:  # fmt: skip
        self.close = close if boxes is not None and needs.boxes else 0.0
        self.stock, self.boxes, self.needs = stock, boxes, needs
        self.size, self.length, self.seed, self.start = size, length, seed, start
        self.frames = self._eligible()
        self.cumulative = np.cumsum(shares(stock, self.frames))
        self.frames_asked = needs._replace(scene=False, clean=False, pace=0.0) != Needs()
        """Whether anything but scenes is."""
        self.known = self._known()
        self.known_cumulative = np.cumsum(shares(stock, self.known))
        self.room = CACHE_BYTES // max(1, workers)
        self.cache: OrderedDict[int, Pixels] = OrderedDict()
        self.cached = 0
        self.unread: set[int] = set()

    def __len__(self) -> int:
        return self.length - self.start

    def _eligible(self) -> NDArray[np.int64]:
        """Return the frames that a sample may start from. Raises MaterialError where there is none."""
        needs, stock = self.needs, self.stock
        frames = [int(i) for i in stock.kept]
        if needs.clip:
            frames = [i for i in frames if stock.sequence(i, needs.clip, needs.pace) is not None]
            if not frames:
                raise MaterialError(
                    f"no {needs.clip} frames in a row in this material: give --video, --sequence DIR[:FPS] or --data"
                )
        if needs.stereo:
            frames = [i for i in frames if stock.shots[i].right]
            if not frames:
                raise MaterialError("no rectified pair in this material: give --pairs LEFT:RIGHT:FOCAL:BASELINE")
        return np.array(frames, np.int64)

    def _known(self) -> NDArray[np.int64]:
        """Return the frames that scenes are made of. Raises MaterialError where there is none and they are needed."""
        if not self.needs.scene:
            return np.zeros(0, np.int64)
        certain = np.zeros(len(self.stock.shots), bool) if self.boxes is None else self.boxes.certain
        frames = np.array([int(i) for i in self.stock.kept if certain[i]], np.int64)
        if not len(frames):
            raise MaterialError(
                "nothing is known to be a whole thing in this material: give frames of fixed cameras (--boxes motion)"
                " or a pack (--boxes detector), or leave out 'locate'"
            )
        return frames

    def _shrunk(self, image: Pixels) -> Pixels:
        scale = (CLOSE_ENOUGH if self.close else ENOUGH) * max(self.size) / min(image.shape[:2])
        if scale >= 1:
            return image
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _image(self, index: int) -> Pixels | None:
        image = self.cache.get(index)
        if image is None and index not in self.unread:
            read = self.stock.read(index)
            if read is None:
                self.unread.add(index)
                return None
            image = self.cache[index] = self._shrunk(read)
            self.cached += image.nbytes
            while self.cached > self.room and len(self.cache) > 1:
                self.cached -= self.cache.popitem(last=False)[1].nbytes
        return image

    def _load(self, random: Generator) -> tuple[int, Pixels]:
        """Return a frame drawn by its share, or the next one that can be read. Raises OSError where none can."""
        return self._drawn(self.frames, self.cumulative, random)

    def _drawn(
        self, frames: NDArray[np.int64], cumulative: NDArray[np.float64], random: Generator
    ) -> tuple[int, Pixels]:
        at = int(np.searchsorted(cumulative, random.random(), side="right").clip(max=len(frames) - 1))
        for step in range(len(frames)):
            index = int(frames[(at + step) % len(frames)])
            image = self._image(index)
            if image is not None:
                return index, image
        raise OSError(f"none of the {len(frames)} frames can be read any more")

    def __getitem__(self, item: int) -> Sample:
        random = np.random.default_rng((self.seed, self.start + item))
        index, image = self._load(random) if self.frames_asked else self._known_frame(random)
        shot = self.stock.shots[index]
        sample: Sample = {"frame": np.array(index), "camera": np.array(shot.camera)}
        if self.needs.views or self.needs.boxes:
            sample |= self._views(index, image, random)
        if self.needs.plain or self.needs.stereo:
            sample |= self._plain(index, image, random)
        if self.needs.clip:
            sample |= self._clip(index, image, random)
        if self.needs.scene:
            sample |= self._scene([self._known_frame(random)] if self.frames_asked else [(index, image)], random)
        return sample

    def _known_frame(self, random: Generator) -> tuple[int, Pixels]:
        """Return a frame whose boxes are known, as `_load` does of all."""
        return self._drawn(self.known, self.known_cumulative, random)

    def _scene(self, shown: list[tuple[int, Pixels]], random: Generator) -> Sample:
        """Return the frame `shown`, or a mosaic of it and others, with all their boxes."""
        assert self.boxes is not None  # or no frame were known
        shown = [*shown, *(self._known_frame(random) for _ in range(drawn_sources(SCENE, random) - 1))]
        parts = []
        for index, image in shown:
            corners = self.boxes.of(index)[0] * np.array([image.shape[1], image.shape[0]] * 2, np.float32)
            count = len(corners)
            parts.append(Loaded(image, corners, np.zeros(count, np.int64), np.ones(count, np.float32), EVERYTHING))
        made = compose(parts, *self.size, SCENE, random)
        order = np.argsort(-(made.boxes[:, 2:] - made.boxes[:, :2]).prod(axis=1), kind="stable")[:MOST_IN_SCENE]
        padded = np.zeros((MOST_IN_SCENE, 4), np.float32)
        padded[: len(order)] = made.boxes[order]
        return {"scene": made.image, "scene_boxes": padded, "scene_boxed": np.arange(MOST_IN_SCENE) < len(order)}

    def _moments(self, index: int, image: Pixels, random: Generator) -> tuple[Moment, Moment]:
        """Return the frames of the two views: one frame, or where a track allows it another moment of its camera."""
        none = np.zeros((0, 4), np.float32)
        if self.boxes is None or not self.needs.boxes:
            return Moment(index, image, none), Moment(index, image, none)
        own, tracks = self.boxes.of(index)
        if random.random() < TEMPORAL:
            later = self._other(index, tracks, random)
            other = None if later is None else self._image(later)
            if later is not None and other is not None:
                theirs, numbers = self.boxes.of(later)
                _, mine, yours = np.intersect1d(tracks, numbers, return_indices=True)
                return Moment(index, image, own[mine]), Moment(later, other, theirs[yours])
        return Moment(index, image, own), Moment(index, image, own)

    def _other(self, index: int, tracks: NDArray[np.int64], random: Generator) -> int | None:
        """Return another moment of the same camera, GAPS away, that shares a track with `index`; None without one."""
        shot = self.stock.shots[index]
        if shot.time != shot.time or not (tracks >= 0).any() or self.boxes is None:
            return None
        times, indices = self.stock.row(shot.camera)
        gap = random.uniform(*GAPS) * (1 if random.random() < 0.5 else -1)
        for wanted in (gap, -gap):
            at = int(np.searchsorted(times, shot.time + wanted).clip(max=len(times) - 1))
            apart = abs(float(times[at]) - shot.time)
            if GAPS[0] <= apart <= GAPS[1] and np.isin(self.boxes.of(int(indices[at]))[1], tracks).any():
                return int(indices[at])
        return None

    def _views(self, index: int, image: Pixels, random: Generator) -> Sample:
        height, width = self.size
        pair = self._moments(index, image, random)
        object_ = self._object(pair, random) if self.close and random.random() < self.close else None
        for _ in range(PAIRS):
            crops = self._crops(pair, object_, random)
            crops = tuple(snapped(c, *m.image.shape[:2]) for c, m in zip(crops, pair, strict=True))  # type: ignore[assignment]
            maps = [affine(crop, height, width) for crop in crops]
            placed = [place(m.boxes, matrix) for m, matrix in zip(pair, maps, strict=True)]
            both = np.flatnonzero(seen(placed[0], height, width) & seen(placed[1], height, width))
            if len(both) or not len(pair[0].boxes):
                break
        sample: Sample = {}
        for name, moment, crop, matrix, blurred in zip(
            ("first", "second"), pair, crops, maps, BLURRED, strict=True
        ):  # fmt: skip
            cropped = cut(moment.image, crop, height, width)
            sample[name] = recoloured(cropped, random, 0.0 if self.needs.clean else blurred)
            sample[f"{name}_map"] = matrix
        times = [self.stock.shots[m.frame].time for m in pair]
        sample["gap"] = np.array(0.0 if pair[0].frame == pair[1].frame else times[1] - times[0], np.float32)
        if self.needs.boxes:
            sample |= self._boxed(placed, both, random)
        return sample

    def _object(self, pair: tuple[Moment, Moment], random: Generator) -> int | None:
        """Return the number of a box that both moments show large enough, None where there is none."""
        longer = [
            ((m.boxes[:, 2:] - m.boxes[:, :2]) * (m.image.shape[1], m.image.shape[0])).max(axis=1, initial=0.0)
            for m in pair
        ]
        large = np.flatnonzero(np.minimum(*longer) >= LEAST_OBJECT)
        return int(random.choice(large)) if len(large) else None

    def _crops(self, pair: tuple[Moment, Moment], object_: int | None, random: Generator) -> tuple[Crop, Crop]:
        height, width = self.size
        frames = [m.image.shape[1] / m.image.shape[0] for m in pair]
        if object_ is None:
            return two_crops(frames[0], width / height, random)
        first, second = (
            close_crop(m.boxes[object_], frame, width / height, random) for m, frame in zip(pair, frames, strict=True)
        )
        return first, second

    def _boxed(
        self, placed: list[NDArray[np.float32]], both: NDArray[np.int64], random: Generator
    ) -> Sample:  # fmt: skip
        chosen = random.permutation(both)[:MOST_BOXES]
        sample: Sample = {"boxed": np.arange(MOST_BOXES) < len(chosen)}
        for name, boxes in zip(("first_boxes", "second_boxes"), placed, strict=True):
            padded = np.zeros((MOST_BOXES, 4), np.float32)
            padded[: len(chosen)] = shaken(boxes[chosen], random, *self.size)
            sample[name] = padded
        return sample

    def _plain(self, index: int, image: Pixels, random: Generator) -> Sample:
        height, width = self.size
        crop = snapped(upright(image.shape[1] / image.shape[0], width / height, random), *image.shape[:2])
        sample: Sample = {"plain": cut(image, crop, height, width)}
        if self.needs.stereo:
            read = self.stock.right(index)
            other = image if read is None else self._shrunk(read)
            crop = snapped(crop, *other.shape[:2])
            focal, baseline = self.stock.rigs[self.stock.shots[index].reader]
            sample["right"] = cut(other, crop, height, width)
            sample["rig"] = np.array([focal * width / (crop.right - crop.left), baseline], np.float32)
        return sample

    def _clip(self, index: int, image: Pixels, random: Generator) -> Sample:
        height, width = self.size
        indices = self.stock.sequence(index, self.needs.clip, self.needs.pace) or [index] * self.needs.clip
        crop = upright(image.shape[1] / image.shape[0], width / height, random)
        crop = crop._replace(flipped=bool(random.random() < 0.5))
        frames = []
        for i in indices:
            one = self._image(i)
            whole = image if one is None else one
            frames.append(cut(whole, snapped(crop, *whole.shape[:2]), height, width))
        times = np.array([self.stock.shots[i].time for i in indices])
        sample: Sample = {
            "clip": np.stack(frames), "times": (times - times[0]).astype(np.float32), "moving": moving_in(frames),
        }  # fmt: skip
        if self.needs.flow:
            sample["flow"] = flow_of(frames)
        return sample


def shares(stock: Stock, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how likely each of `frames` is drawn: cameras of few frames more often, in sum 1."""
    cameras = np.array([stock.shots[int(i)].camera for i in frames], np.int64)
    counts = np.bincount(cameras, minlength=len(stock.cameras))
    each = counts[cameras] ** -EVENNESS
    return np.asarray(each / each.sum(), np.float64)


def collate(samples: list[Sample]) -> Batch:
    """Return `samples` as one batch; images become RGB, channels first."""
    fields = {}
    for name in samples[0]:
        stacked = np.stack([s[name] for s in samples])
        if name in ("first", "second", "plain", "right", "clip", "scene"):
            stacked = np.ascontiguousarray(np.moveaxis(stacked[..., ::-1], -1, -3))
        fields[name] = torch.from_numpy(stacked)
    return Batch(**fields)
