"""What a learned measure of blur must do besides ordering crops: for `benchmarks.blur`.

monotone     the same crop, ever more blurred: Kendall's tau, and steps of a pixel that are in order
texture      sharp tiles of hardly any texture against blurred ones with much of it
utility      a third of a stream blurred: are those dropped, and what does a detector find in the rest
sharp_first  whole photographs, large, small, cropped, by night: before their own blurred versions
time         a 1280x720 frame on one core, and how far ONNX Runtime is from torch
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from scipy.stats import kendalltau  # type: ignore[import-untyped,unused-ignore]

from benchmarks.blur_data import HIGH, flat_crops, sharp_region
from central.learn.blur.degrade import KERNELS, Light, Picture, Sensor, blurred, compressed, linear, sense, spread
from central.learn.blur.ranked import unsharp
from central.learn.data.dataset import read_image
from central.learn.detect import coco as truths
from central.learn.detect.coco import Coco
from central.learn.detect.evaluate import evaluate
from edge.runtime.model import Model
from edge.runtime.prepare import Image
from edge.runtime.sharpness import methods
from edge.runtime.sharpness.learned import TileModel
from edge.runtime.sharpness.tiles import TILE
from protocols.pack import Pack

STEPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
INJECTED = 0.3
"""Share of a stream that is blurred, and that is dropped."""
INJECTED_BLUR = (0.004, 0.012)
"""Standard deviation over the longer side of a frame."""
LIVE = 8
"""Tiles of one scale that a live frame is looked at in."""
ALL = ("monotone", "texture", "utility", "sharp_first", "time")
Score = Callable[[Image], float]


def _tile(region: Picture) -> Picture:
    edge = (region.shape[0] - TILE) // 2
    return region[edge : edge + TILE, edge : edge + TILE]


def monotone(model: TileModel, paths: Sequence[Path], count: int = 60) -> dict[str, float]:
    """Return the mean tau of `count` crops at STEPS, and the share of steps of a pixel that are in order."""
    random, taus, right = np.random.default_rng(1), [], []
    for _ in range(count):
        region, kind = sharp_region(paths, TILE + 48, random), str(random.choice(("gaussian", "defocus", "motion")))
        state = int(random.integers(2**31))
        made = [_tile(blurred(region, kind, sigma, np.random.default_rng(state))) for sigma in STEPS]
        blur = model.session.run(np.stack(made)[:, None])["blur"].reshape(-1)
        taus.append(float(kendalltau(blur, STEPS)[0]))
        right += (blur[2:] > blur[:-2]).tolist()
    return {"tau": round(float(np.mean(taus)), 4), "steps_in_order": round(float(np.mean(right)), 4)}


def texture(score: Score, paths: Sequence[Path], count: int = 150) -> float:
    """Return how often a sharp tile without texture is before a blurred one with much of it."""
    random = np.random.default_rng(2)
    rich: list[Picture] = []
    while len(rich) < count:
        region = sharp_region(paths, TILE + 48, random)
        if float(cv2.GaussianBlur(_tile(region), (0, 0), 2).std()) >= HIGH:
            rich.append(_tile(blurred(region, "gaussian", 2.0, random)))
    flat = [score(tile) for tile in flat_crops(paths, count, 3)]
    return round(float(np.mean(np.array(flat)[:, None] > np.array([score(tile) for tile in rich])[None])), 4)


def _subset(truth: Coco, keep: Sequence[int]) -> Coco:
    images = [truth.images[i] for i in keep]
    wanted = {image.id for image in images}
    boxes = [box for box in truth.annotations if box.image_id in wanted]
    return msgspec.structs.replace(truth, images=images, annotations=boxes)


def utility(pack: Pack, score: Score, frames: Path, coco: Path, seed: int = 0) -> dict[str, float]:
    """Return ``found``, the share of the blurred frames that are among the dropped, and AP50 of ``kept`` and of as many
    drawn by chance (``random``, of three draws) in a stream of which INJECTED is blurred."""
    truth, random = truths.read(coco), np.random.default_rng(seed)
    total = len(truth.images)
    bad = set(random.choice(total, int(INJECTED * total), replace=False).tolist())
    with tempfile.TemporaryDirectory() as scratch, Model(pack, "cpu") as model:
        scores = []
        for index, image in enumerate(truth.images):
            frame = read_image(str(frames / image.file_name))
            if frame is None:
                raise OSError(f"{frames / image.file_name}: not a readable image")
            if index in bad:
                kind, share = str(random.choice(list(KERNELS))), float(random.uniform(*INJECTED_BLUR))
                frame = blurred(frame, kind, share * max(frame.shape), random, Sensor(noise=2.0))
            target = Path(scratch) / image.file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
            scores.append(score(frame))
        order = np.argsort(scores)
        dropped = set(order[: len(bad)].tolist())
        kept = [i for i in range(total) if i not in dropped]

        def ap50(chosen: Sequence[int]) -> float:
            return evaluate(model, Path(scratch), _subset(truth, chosen), resamples=1).ap50 or 0.0

        chance = [ap50(sorted(random.choice(total, len(kept), replace=False).tolist())) for _ in range(3)]
        return {
            "found": round(len(dropped & bad) / len(bad), 4), "kept_ap50": round(ap50(kept), 4),
            "random_ap50": round(float(np.mean(chance)), 4),
        }  # fmt: skip


def _large(paths: Sequence[Path], random: np.random.Generator) -> tuple[Light, float]:
    """Return a picture of 1 to 12 megapixels, made of many, softened as large ones are, and how much larger it is."""
    across = int(random.integers(2, 7))
    rows = []
    for _ in range(across):
        found = [read_image(str(paths[int(random.integers(len(paths)))])) for _ in range(across)]
        rows.append(
            np.hstack([cv2.resize(i, (640, 480), interpolation=cv2.INTER_AREA) for i in found if i is not None])
        )
    wide = min(row.shape[1] for row in rows)
    light = linear(np.asarray(np.vstack([row[:, :wide] for row in rows]), np.uint8))
    return np.asarray(cv2.GaussianBlur(light, (0, 0), float(random.uniform(0.4, 1.2))), np.float32), across / 2


def cases(paths: Sequence[Path], count: int, seed: int = 5) -> Iterator[tuple[str, Picture, Picture]]:
    """Yield what a case is, a photograph, and its blurred version, each seen by a camera of much the same settings."""
    random = np.random.default_rng(seed)
    names = ("as it is", "small", "crop", "large", "night", "subject")
    for number in range(count):
        name = names[number % len(names)]
        light, wider = _source(name, paths, random)
        night = name == "night"
        camera = Sensor(
            gain=float(random.uniform(0.03, 0.2)) if night else 1.0,
            noise=float(random.uniform(2, 8) if night else random.uniform(0, 5)),
            bright=bool(random.random() < 0.7),
        )  # fmt: skip
        other = replace(camera, noise=camera.noise * float(np.exp(random.uniform(-0.5, 0.5))))
        quality, sharpening = int(random.integers(60, 97)) * int(random.integers(2)), float(random.choice((0, 0, 1.0)))
        sigma = (0.8 if name in ("crop", "small") else 1.2) * wider * float(np.exp(random.uniform(0, np.log(8))))
        soft = spread(light, KERNELS[str(random.choice(list(KERNELS)))](sigma, random))
        if name == "subject":
            soft = _within(light, soft, sigma)
        pictures = [sense(seen, by, random) for seen, by in ((light, camera), (soft, other))]
        if sharpening:
            pictures = [unsharp(picture, sharpening) for picture in pictures]
        if quality:
            pictures = [compressed(picture, quality) for picture in pictures]
        yield name, pictures[0], pictures[1]


def _source(name: str, paths: Sequence[Path], random: np.random.Generator) -> tuple[Light, float]:
    if name == "large":
        return _large(paths, random)
    while True:
        image = read_image(str(paths[int(random.integers(len(paths)))]))
        if image is None:
            continue
        height, width = image.shape[:2]
        if name == "small":
            by = float(random.uniform(1.5, 3.5))
            image = np.asarray(cv2.resize(image, (round(width / by), round(height / by)), interpolation=cv2.INTER_AREA))
        if name == "crop":
            side = min(int(random.integers(48, 160)), height, width)
            top, left = int(random.integers(0, height - side + 1)), int(random.integers(0, width - side + 1))
            image = image[top : top + side, left : left + side]
            if float(cv2.GaussianBlur(image, (0, 0), 2).std()) < HIGH:
                continue
        return linear(np.asarray(image, np.uint8)), 1.0


def _within(sharp: Light, soft: Light, sigma: float) -> Light:
    """Return `sharp` with what is in its middle replaced by `soft`."""
    height, width = sharp.shape[:2]
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.3), int(height * 0.35)), 0, 0, 360, 1.0, -1)
    weight = cv2.GaussianBlur(mask, (0, 0), sigma + 1)[..., None]
    return np.asarray(sharp * (1 - weight) + soft * weight, np.float32)


def sharp_first(scores: dict[str, Score], paths: Sequence[Path], count: int = 120) -> dict[str, Any]:
    """Return by measure how many of `count` photographs it puts before their blurred versions, and where it fails."""
    wrong: dict[str, Counter[str]] = {name: Counter() for name in scores}
    for name, sharp, soft in cases(paths, count):
        for measure, score in scores.items():
            wrong[measure][name] += int(not score(sharp) > score(soft))
    return {
        measure: {"right": count - sum(found.values()), "of": count, "wrong": {k: v for k, v in found.items() if v}}
        for measure, found in wrong.items()
    }


def timed(model: TileModel, path: Path) -> dict[str, float]:
    """Return milliseconds of a 1280x720 frame by LIVE tiles of each scale, and by as many as a person waits for."""
    image = read_image(str(path))
    frame = np.asarray(cv2.resize(image, (1280, 720)) if image is not None else np.zeros((720, 1280, 3)), np.uint8)
    most, answer = model.most, {}
    for name, count in (("live_ms", LIVE), ("whole_ms", most)):
        model.most = count
        spent = []
        for _ in range(15):
            start = time.perf_counter()
            model.see(frame)
            spent.append(1000 * (time.perf_counter() - start))
        answer[name] = round(float(np.median(spent)), 2)
    model.most = most
    return answer | {"onnx_gap": model.gap()}


def checks(
    pack: Pack, model: TileModel, paths: Sequence[Path], frames: Path, coco: Path, wanted: Sequence[str] = ALL
) -> dict[str, Any]:
    """Return the `wanted` checks of the tile model of `pack`; those of the literature beside it where that tells
    something."""
    cv2.setNumThreads(1)
    known = methods()
    named: dict[str, Score] = {"base": model.score}
    named.update({name: known[name].score for name in ("detail", "crete", "laplacian")})
    each: dict[str, Callable[[], Any]] = {
        "monotone": lambda: monotone(model, paths),
        "texture": lambda: {name: texture(score, paths) for name, score in named.items()},
        "utility": lambda: utility(pack, model.score, frames, coco) if coco.is_file() else None,
        "sharp_first": lambda: sharp_first(named, paths),
        "time": lambda: timed(model, paths[0]),
    }
    return {name: each[name]() for name in wanted}
