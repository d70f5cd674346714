"""What a browser may be made to run or send: images that are none, changes from other pages, addresses (P20)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from central.annotate.formats import FormatError, kinds
from central.api import access, guards
from central.api.app import PREFIX
from central.api.guards import HEADERS
from protocols.messages import Reply, utc_now
from tests.central.api.conftest import PASSWORD, World, frame_id
from tests.central.api.test_matrix import SAFE, operations

SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
HTML: Final = b"<!doctype html><script>alert(1)</script>"
POLYGLOT: Final = b"\xff\xd8\xff\xe0" + HTML + b"\xff\xd9"


def harmless(answer: Any, kind: str) -> bool:
    """Whether a browser takes `answer` for nothing but `kind`, and runs nothing of it."""
    policy = answer.headers.get("content-security-policy", "")
    sure = answer.headers.get("x-content-type-options") == "nosniff"
    return answer.headers["content-type"] == kind and sure and "default-src 'none'" in policy and "unsafe" not in policy


@pytest.mark.parametrize("data", [SVG, HTML, POLYGLOT])
async def test_image__whatever_lies_there_is_an_image_to_the_browser(
    world: World, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = await world.add_frame()
    await world.centre.blobs.put([(f"frames/{frame}.jpg", data)])
    async with world.client("viewer") as client:
        assert harmless(await client.get(f"/frames/{frame}/image"), "image/jpeg")
        monkeypatch.setattr(guards, "HEADERS", {k: v for k, v in HEADERS.items() if "Type" not in k})  # the twin
        assert not harmless(await client.get(f"/frames/{frame}/image"), "image/jpeg")


@pytest.mark.parametrize("data", [SVG, HTML, b""])
async def test_thumbnail__a_node_that_answers_something_else_is_not_shown(world: World, data: bytes) -> None:
    await world.add_frame()
    world.fleet.replies["n1"] = Reply(id="r", node="n1", camera="c1", ok=True, time=utc_now(), image=data)
    async with world.client("viewer") as client:
        answer = await client.get("/nodes/n1/cameras/c1/thumbnail")
    assert answer.status_code == 404 and harmless(answer, "application/json")


async def test_errors__tell_markup_as_json(world: World) -> None:
    async with world.client("viewer") as client:
        for path in ("/frames/<script>alert(1)</script>", "/packs/<svg onload=alert(1)>/diff", "/<script>"):
            assert harmless(await client.get(path), "application/json")


async def forgeable(world: World, **headers: str) -> list[str]:
    """Return the operations that a page of another site could use with the admin's cookie."""
    found = []
    async with world.client(**headers) as client:
        for name, method, path in operations(world):
            if method in SAFE or name in ("session_log_in", "session_log_out"):
                continue
            client.cookies.set(access.COOKIE, world.tokens["admin"])
            answer = await client.request(method, path, content=b"{}", headers={"content-type": "text/plain"})
            if answer.status_code != 403 or answer.json()["error"]["code"] not in ("csrf", "cross_site"):
                found.append(name)
    return found


async def test_changes__need_the_header_that_no_other_page_can_send(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await forgeable(world) == []
    assert await forgeable(world, **{"Sec-Fetch-Site": "cross-site", "X-Wayside": "1"}) == []
    monkeypatch.setattr(access, "SAFE", ("GET", "POST", "PUT", "PATCH", "DELETE"))  # the twin: nobody asks for it
    assert len(await forgeable(world)) > 20


async def test_cookie__is_out_of_reach_of_scripts_and_other_sites(world: World) -> None:
    async with world.client() as client:
        answer = await client.post("/session", json={"name": "admin", "password": PASSWORD})
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=strict" in kept and "domain" not in kept
    assert "access-control-allow-origin" not in answer.headers


def test_bodies__one_alone_carries_an_address(world: World) -> None:
    schemas = world.app.openapi()["components"]["schemas"]
    asked = {name for name in schemas if name.endswith(("Body", "Change", "Login"))}
    carrying = {name for name in asked for key in schemas[name].get("properties", {}) if "url" in key or "host" in key}
    assert carrying == {"WebhookBody"}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Whom a test tried to reach."""
    asked: list[Any] = []

    def refuse(_self: Any, address: Any) -> None:
        asked.append(address)
        raise OSError("nothing is called here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield asked


AWAY: Final = "http://127.0.0.1:9/secret.jpg"
SETS: Final = {
    "coco": json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", "coco_url": AWAY, "flickr_url": AWAY, "width": 9, "height": 9}],
        "annotations": [], "categories": [{"id": 1, "name": "car", "url": AWAY}], "info": {"url": AWAY},
    }),
    "label-studio": json.dumps([{"id": 1, "data": {"image": AWAY}, "annotations": [{"result": []}]}]),
    "datumaro": json.dumps({
        "categories": {"label": {"labels": [{"name": "car"}]}},
        "items": [{"id": "a", "annotations": [], "image": {"path": "a.jpg", "size": [9, 9], "url": AWAY}}],
    }),
    "cvat": f'<!DOCTYPE a SYSTEM "{AWAY}"><annotations><image name="a" width="9" height="9"/></annotations>',
}  # fmt: skip


@pytest.mark.parametrize("name", list(SETS))
def test_import__fetches_nothing(name: str, tmp_path: Path, offline: list[Any]) -> None:
    (tmp_path / "set").write_text(SETS[name])
    try:
        found = kinds()[name].read(tmp_path / "set").loaded()
    except FormatError as error:
        assert "document type" in str(error)
    else:
        assert len(list(found.pictures)) == 1
    assert offline == []
    with pytest.raises(OSError, match="nothing is called"):
        urlopen(AWAY)  # the twin: a reader that fetches what it is told
    assert offline == [("127.0.0.1", 9)]


async def test_paths__lead_nowhere_else(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("out of reach")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("<head></head>the page")
    (tmp_path / "dist" / "link.txt").symlink_to(tmp_path / "secret.txt")
    ways = [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "/assets/..%2f..%2fsecret.txt",
        "//etc/passwd",
    ]
    async with world.client("admin") as client:
        for way in ways:
            answer = await client.get(f"http://centre{way}")
            assert "out of reach" not in answer.text and "root:" not in answer.text, way
        for way in (
            f"/frames/{frame_id(1)}%2f..%2f..%2fsecret",
            "/rounds/..%2f..%2fsecret/report",
            "/packs/../../x/diff",
        ):
            answer = await client.get(f"http://centre{PREFIX}{way}")
            assert answer.status_code in (404, 422) or "the page" in answer.text, way
