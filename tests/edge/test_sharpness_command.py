"""The command that tells how sharp pictures and videos are."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import sharpness as command
from edge.runtime import Detections, Inference, RuntimeFault
from edge.runtime.sharpness import scorers
from edge.sources import Image, SourceError
from edge.street.camera import Street


class Fake:
    """A model that finds every picture equally blurred, or says nothing of it."""

    def __init__(self, blur: float | None) -> None:
        self.blur = blur

    def infer(self, image: Image, threshold: float | None = None) -> Inference:
        found = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        blur = None if self.blur is None else np.full((4, 4), self.blur, np.float32)
        return Inference(found, None, blur)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    image, _ = Street(1, 320, 180).render(0)
    cv2.imwrite(str(tmp_path / "sharp.png"), image)
    cv2.imwrite(str(tmp_path / "soft.png"), cv2.GaussianBlur(image, (0, 0), 3))
    return tmp_path


@pytest.mark.parametrize(
    "method",
    ["auto", "tiles", "classical", "detail", "crete", "laplacian", "laplacian-normalised", "tenengrad", "lpc-si"],
)  # fmt: skip
def test_sharpness__sharper_is_higher(pictures: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = command.sharpness([pictures], None, method)
    scores = answer["scores"]
    assert scores[str(pictures / "sharp.png")] > scores[str(pictures / "soft.png")]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_sharpness__auto_is_the_tile_model_of_the_base_pack(pictures: Path) -> None:
    assert command.sharpness([pictures / "sharp.png"])["method"] == "tiles"


def test_sharpness__without_a_base_pack_auto_needs_no_model(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.packs.base_path", lambda: pictures / "gone.wpack")
    assert command.sharpness([pictures / "sharp.png"])["method"] == "detail"


def test_sharpness__the_dense_blur_of_a_pack(pictures: Path) -> None:
    scores = command.sharpness([pictures], "base", "pack")["scores"]
    assert scores[str(pictures / "sharp.png")] > scores[str(pictures / "soft.png")]


def test_sharpness__of_a_video_is_the_mean_of_its_frames(tmp_path: Path) -> None:
    film = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 96))
    for index in range(4):
        writer.write(Street(1, 160, 96).render(index)[0])
    writer.release()
    answer = command.sharpness([film], None, "detail", limit=3)
    assert len(answer["frames"][str(film)]) == 3
    assert answer["scores"][str(film)] == pytest.approx(np.mean(answer["frames"][str(film)]), abs=1e-5)


def test_by_pack__is_negated() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    assert scorers.by_pack(Fake(0.3)).score(image) == pytest.approx(-0.3)
    with pytest.raises(RuntimeFault, match="needs --pack"):
        scorers.by_pack(Fake(None)).score(image)


@pytest.mark.parametrize(
    ("name", "method", "error", "words"),
    [
        ("missing.png", "detail", SourceError, "no such file"),
        ("text.png", "detail", SourceError, "not a readable image"),
        ("text.txt", "detail", SourceError, "not a readable image or video"),
        ("sharp.png", "guess", RuntimeFault, "there are auto, pack, tiles, cpbd"),
        ("sharp.png", "pack", RuntimeFault, "needs --pack"),
    ],
)
def test_sharpness__bad_input(pictures: Path, name: str, method: str, error: type[Exception], words: str) -> None:
    for text in ("text.png", "text.txt"):
        (pictures / text).write_text("text")
    with pytest.raises(error, match=words):
        command.sharpness([pictures / name], None, method)


def test_open_scorer__knows_every_method() -> None:
    with ExitStack() as stack:
        for name in scorers.names():
            if name not in ("auto", "pack", "tiles"):
                assert scorers.open_scorer(None, name, stack).name == name
