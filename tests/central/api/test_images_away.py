"""The API while the store of the images is away: 503 that says so, readiness that names it, and all else works."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.store import blobs as blob_store
from central.store import s3
from tests.central.api.conftest import World


@pytest.fixture
async def frame(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stored frame; then the store is one that nobody answers for."""
    made = await world.add_frame()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setattr(s3, "RETRIES", 0)
    world.centre.blobs = blob_store.connect("s3://bucket?endpoint=http://127.0.0.1:9&http=yes", tmp_path / "none")
    return made


@pytest.mark.parametrize("path", ["/frames/{}/image"])
async def test_image__answers_503_with_a_code(world: World, frame: str, path: str) -> None:
    async with world.client("viewer") as client:
        answer = await client.get(path.format(frame))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "images_away"
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text and "bucket" not in answer.text


async def test_frames__are_listed_all_the_same(world: World, frame: str) -> None:
    async with world.client("viewer") as client:
        answer = await client.get(f"/frames/{frame}")
    assert answer.status_code == 200


async def test_ready__names_the_images(world: World, frame: str) -> None:
    async with world.client(None) as client:
        answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["images"] == "nothing answers there"
    assert "secret" not in answer.text and "127.0.0.1" not in answer.text
