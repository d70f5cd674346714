"""What pretexts of video learn: refusals, depth of made scenes, shake of real frames, the next frame of a motorway.

    python -m benchmarks.ssl_video [--only guard,automask,parallax,egomotion,future,learns] [--seeds 0,1,2] [--json]

`guard`     the camera's motion and the verdict, for each video as it is and shaken, the synthetic street, a made drive.
`automask`  share of pixels that the mask of `depth` keeps on videos of fixed cameras (goal below 0.05).
`parallax`  scenes of two planes with known camera and motions, 500 steps: share of pixels in the right order (goal
            0.95) and scale-free relative error (goal 0.15), of scenes learned from and of others.
`egomotion` frames of cameras that nothing was learned from, shaken by up to 8 px and 2 degrees: mean corner error
            (goal 1 px and half of "no motion"), beside ORB with RANSAC and ECC.
`future`    the last part of the sequence: 1 - cos where something moves, over that of copying (goal 0.9).
`learns`    first and last loss of each pretext in 100 steps of the trainer.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks import ssl_planes
from benchmarks.common import DATA, frames, main, parser, say
from benchmarks.ssl_shake import baselines
from central.learn import ssl
from central.learn.models.config import ModelConfig
from central.learn.ssl import Batch, Scene, Shape, Trunk, sources
from central.learn.ssl.config import SslConfig
from central.learn.ssl.geometry import disparity, guard, homography
from central.learn.ssl.material import Stock
from central.learn.ssl.pretexts.depth import Depth
from central.learn.ssl.pretexts.egomotion import Egomotion, Options, shaken
from central.learn.ssl.stream import Stream, collate
from central.learn.ssl.train import Run
from edge.street.camera import Street

PARTS = ("guard", "automask", "parallax", "egomotion", "future", "learns")
PLANES = {"near": 2.0, "far": 30.0, "focal": 0.9}
HELD_BACK = 0.7
"""Share of the sequence, from its start, that `future` learns from; what follows judges."""


def model(height: int, width: int) -> ModelConfig:
    """Return the network that all parts use."""
    return ModelConfig(size="tiny", labels=("thing",), height=height, width=width)


def stocks(arguments: argparse.Namespace, cache: Path) -> dict[str, Stock]:
    """Return the streams of fixed cameras by name."""
    found = {path.stem: sources.video(path, cache) for path in arguments.video}
    return found | {"sequence": sources.folder(arguments.sequence, 25.0)}


def judge_guard(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the verdicts."""
    with tempfile.TemporaryDirectory() as cache:
        seen = {n: s.clips(guard.CLIPS, 2, Depth.needs.pace) for n, s in stocks(arguments, Path(cache)).items()}
    seen["street"] = [[Street(seed=s).render(t)[0] for t in (3.0, 3.1)] for s in range(8)]
    random = np.random.default_rng(0)
    for name in list(seen):
        seen[f"{name}, shaken"] = [[clip[0], *(shake(f, random) for f in clip[1:])] for clip in seen[name]]
    seen["drive"] = [ssl_planes.drive(s) for s in range(8)]
    seen["drive, turning only"] = [ssl_planes.drive(s, step=0, turn=0.02) for s in range(8)]
    answer = {}
    for name, clips in seen.items():
        motion = guard.motion(clips)
        answer[name] = {
            "flow_px": round(motion.flow, 3), "parallax_px": round(motion.parallax, 3), "runs": motion.refusal is None,
        }  # fmt: skip
    return answer


def shake(frame: Any, random: np.random.Generator) -> Any:
    """Return `frame` after a random shake of up to 8 px, 2 degrees, 2 %."""
    height, width = frame.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-2, 2), random.uniform(0.98, 1.02))
    turn[:, 2] = turn[:, 2] + random.uniform(-8, 8, 2)
    return cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def judge_automask(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the share kept, by a fresh network and by one that has tried for `--steps` (30) steps."""
    answer, size = {}, (128, 224)
    with tempfile.TemporaryDirectory() as cache:
        for name, stock in stocks(arguments, Path(cache)).items():
            torch.manual_seed(0)
            trunk = Trunk(model(*size))
            pretext = ssl.make("depth", Shape.of(trunk.config, *size), {"automask": True})
            stream = Stream(stock, None, pretext.needs, size, 8 * (arguments.steps or 30), 0)
            optimizer = torch.optim.AdamW([*trunk.parameters(), *pretext.parameters()], 1e-3)
            shares = []
            for step, batch in enumerate(DataLoader(stream, 8, collate_fn=collate)):
                loss = pretext.loss(Scene(batch, trunk, trunk, step, 1, torch.Generator()), pretext)
                shares.append(pretext.watched()["depth_kept"])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            answer[name] = {"fresh": round(shares[0], 4), "worst": round(max(shares), 4)}
    return answer


class Made:
    """Scenes of two planes as tensors."""

    def __init__(self, first: int, count: int, height: int, width: int) -> None:
        scenes = [ssl_planes.scene(first + i, height, width) for i in range(count)]
        self.clips = ssl_planes.clips(scenes)
        self.motions = [torch.from_numpy(np.stack([s.motions[i] for s in scenes])) for i in range(2)]
        self.depth = torch.from_numpy(np.stack([s.depth for s in scenes]))
        self.near = torch.from_numpy(np.stack([s.near for s in scenes]))


def plane_errors(depth: Tensor, made: Made) -> dict[str, float]:
    """Return the share of pixels on the right side of the middle of both planes' depths, and AbsRel over medians."""
    right, relative = [], []
    for found, truth, near in zip(depth, made.depth, made.near, strict=True):
        scaled = found * (truth.median() / found.median())
        relative.append(float(((scaled - truth).abs() / truth).mean()))
        front, back = found[near].median(), found[~near].median()
        same = ((found < (front * back).sqrt()) == near).float().mean()
        right.append(float(same) if front < back else 0.0)
    return {"order": round(float(np.mean(right)), 4), "abs_rel": round(float(np.mean(relative)), 4)}


def judge_parallax(seed: int, steps: int) -> dict[str, Any]:
    """Return the errors after `steps` on scenes with known motions."""
    size, batch = (64, 96), 6
    torch.manual_seed(seed)
    trunk = Trunk(model(*size))
    pretext = ssl.make("depth", Shape.of(trunk.config, *size), PLANES)
    assert isinstance(pretext, Depth)
    learned, others = Made(10_000 * seed, 256, *size), Made(10_000 * seed + 5_000, 64, *size)
    optimizer = torch.optim.AdamW([*trunk.parameters(), *pretext.parameters()], 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)

    def depth_of(clips: Tensor) -> Tensor:
        images = clips[:, 1].float() / 255
        return disparity.depth(pretext.disparities(trunk(clips[:, 1]).levels, images)[0], 2.0, 30.0)[:, 0]

    for _ in range(steps):
        chosen = torch.randint(0, len(learned.clips), (batch,))
        clip = learned.clips[chosen].float() / 255
        found = pretext.disparities(trunk(learned.clips[chosen, 1]).levels, clip[:, 1])
        loss = pretext.rebuilt(clip[:, 1], found, [m[chosen] for m in learned.motions], [clip[:, 0], clip[:, 2]])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    trunk.eval(), pretext.eval()
    with torch.no_grad():
        return {name: plane_errors(depth_of(m.clips), m) for name, m in (("learned", learned), ("others", others))}


def fitted(images: list[Any], size: tuple[int, int]) -> Tensor:
    """Return `images` (BGR) at `size`, ``[N, 3, H, W]`` uint8 RGB."""
    shrunk = [cv2.resize(i, size[::-1], interpolation=cv2.INTER_AREA)[..., ::-1] for i in images]
    return torch.from_numpy(np.ascontiguousarray(np.stack(shrunk).transpose(0, 3, 1, 2)))


def judge_egomotion(arguments: argparse.Namespace, seed: int, steps: int) -> dict[str, Any]:
    """Return corner errors in pixels on shaken frames of other cameras."""
    size, batch = (128, 192), 6
    learned = fitted(frames(arguments.images, arguments.learn, 1000), size)
    judged = fitted(frames(arguments.images, arguments.coco, 1000), size)
    torch.manual_seed(seed)
    trunk = Trunk(model(*size))
    pretext = ssl.make("egomotion", Shape.of(trunk.config, *size), {"photometric": 0})
    assert isinstance(pretext, Egomotion)
    optimizer = torch.optim.AdamW([*trunk.parameters(), *pretext.parameters()], 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    random = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(0, len(learned), (batch,))
        clip = learned[chosen, None].expand(-1, 2, -1, -1, -1)
        loss = pretext.loss(Scene(Batch(chosen, chosen, clip=clip), trunk, trunk, step, steps, random), pretext)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            say(f"egomotion {step}: {pretext.watched()}")
    pair = shaken(judged, Options(), torch.Generator().manual_seed(1000 + seed))
    trunk.eval(), pretext.eval()
    with torch.no_grad():
        parts = zip(torch.split(pair.before, 8), torch.split(pair.after, 8), strict=True)
        found = torch.cat([pretext.motion(trunk, a, b)[-1].found for a, b in parts])
    guesses = {"network": found, "identity": torch.eye(3).expand(len(judged), -1, -1), **baselines(pair)}
    errors = {n: homography.corner_error(g, pair.truth, *size) for n, g in guesses.items()}
    return {n: {"mean": round(float(e.mean()), 3), "median": round(float(e.median()), 3)} for n, e in errors.items()}


def judge_future(arguments: argparse.Namespace, seed: int, steps: int) -> dict[str, Any]:
    """Return 1 - cos of what moves on the last part of the sequence: of the prediction, of a copy, and their ratio."""
    whole = sources.folder(arguments.sequence, 25.0)
    end = round(HELD_BACK * len(whole.shots))
    first, last = (Stock(whole.readers, whole.shots[s], whole.cameras) for s in (slice(0, end), slice(end, None)))
    config = SslConfig(
        model=model(128, 160), pretexts={"future": 1.0}, steps=steps, batch=6, rate=2e-3, seed=seed, probe_every=0
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, first, None, Path(folder))
        run.run(lambda row: say(f"future {row}"))
        own, teacher = dict(run.student.named())["future"], run.teacher
        run.student.eval(), teacher.eval()
        stream = Stream(last, None, own.needs, (128, 160), 120, 0)
        with torch.no_grad():
            for batch in DataLoader(stream, 6, collate_fn=collate):
                own.loss(Scene(batch, run.student.trunk, teacher.trunk, 0, 1, torch.Generator()), own)
                rows.append(own.watched())
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    mean["ratio"] = mean["future_moving"] / mean["future_copied"]
    return {key: round(value, 4) for key, value in mean.items()}


def judge_learns(arguments: argparse.Namespace, seed: int, steps: int) -> dict[str, Any]:
    """Return first and last loss and numbers of each pretext that a fixed camera's video can teach."""
    stock, answer = sources.folder(arguments.sequence, 25.0), {}
    for name in ("future", "order", "flow", "egomotion"):
        config = SslConfig(
            model=model(128, 160), pretexts={name: 1.0}, steps=steps, batch=6, seed=seed, probe_every=0,
            look_every=max(1, steps // 5),
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            history = Run(config, stock, None, Path(folder)).run(lambda row: say(f"{row}")).history
        rows = [row for row in history if "loss" in row]
        told = [k for k in rows[0] if k.startswith((name, "loss."))]
        answer[name] = {k: [round(float(r[k]), 4) for r in (rows[0], rows[-1])] for k in told}
    return answer


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the chosen parts."""
    chosen = arguments.only.split(",") if arguments.only else list(PARTS)
    steps = arguments.steps
    answer: dict[str, Any] = {}
    seeded = {
        "parallax": lambda seed: judge_parallax(seed, steps or 500),
        "egomotion": lambda seed: judge_egomotion(arguments, seed, steps or 750),
        "future": lambda seed: judge_future(arguments, seed, steps or 200),
        "learns": lambda seed: judge_learns(arguments, seed, steps or 100),
    }
    for part in chosen:
        say(part)
        if part in seeded:
            answer[part] = {seed: seeded[part](seed) for seed in map(int, arguments.seeds.split(","))}
        else:
            answer[part] = {"guard": judge_guard, "automask": judge_automask}[part](arguments)
    return answer


if __name__ == "__main__":
    made = parser(__doc__.splitlines()[0])
    made.add_argument("--learn", type=Path, default=DATA / "street" / "train.json", help="what egomotion learns from")
    made.add_argument("--sequence", type=Path, default=DATA / "sequence" / "images", help="frames in a row")
    made.add_argument(
        "--video", type=Path, nargs="*", default=[DATA / "video" / f"{n}.mp4" for n in ("carpark", "corridor")]
    )
    made.add_argument("--only", default="", help=f"of {','.join(PARTS)}")
    made.add_argument("--seeds", default="0,1,2")
    made.add_argument("--steps", type=int, default=0, help="in place of each part's own")
    main(run, made)
