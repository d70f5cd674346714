"""What holds for every route: login, error shape, headers, sizes, and the UI's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from central.api import ui
from central.api.app import create_app
from central.api.guards import HEADERS, MAX_BODY
from central.api.openapi import document

World = Any
OPEN = {("get", "/health"), ("get", "/ready"), ("post", "/session"), ("get", "/metrics")}
PREFIX = "/api/v1"


def operations() -> list[tuple[str, str]]:
    """Return method and path of every route, with identifiers filled in."""
    found = []
    for path, methods in document()["paths"].items():
        filled = path.removeprefix(PREFIX).replace("{node}", "n1").replace("{camera}", "c1")
        filled = filled.replace("{frame}", "00000001-0000-7000-8000-000000000000").replace("{round_id}", "r0001")
        found += [(method, filled) for method in methods]
    return found


def is_error(body: Any) -> bool:
    """Say whether `body` has the one shape of errors."""
    return (
        set(body) == {"error"}
        and set(body["error"]) == {"code", "message", "detail"}
        and all(isinstance(body["error"][k], str) and body["error"][k] for k in ("code", "message"))
    )


@pytest.mark.parametrize(("method", "path"), [o for o in operations() if o not in OPEN])
async def test_every_route__needs_a_login(world: World, method: str, path: str) -> None:
    async with world.client() as client:
        answer = await client.request(method, path, json={})
    assert answer.status_code in (401, 422), path
    assert is_error(answer.json())
    if answer.status_code == 422:
        assert method in ("post", "put")


@pytest.mark.parametrize(("method", "path"), [o for o in operations() if o[0] in ("post", "put")])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'"\xff"', b'{"revision": NaN}'])
async def test_every_route__bad_body(world: World, method: str, path: str, body: bytes) -> None:
    async with world.client("admin", **{"Content-Type": "application/json"}) as client:
        answer = await client.request(method, path, content=body)
    assert answer.status_code in (404, 409, 422), path
    assert is_error(answer.json())


@pytest.mark.parametrize("path", ["/nope", "/frames/", "/../secret", "/nodes/n1", "/nodes/a%2Fb/command"])
async def test_no_route(world: World, path: str) -> None:
    async with world.client("admin") as client:
        answer = await client.get(path)
    assert answer.status_code in (404, 405)
    assert is_error(answer.json())


async def test_wrong_method(world: World) -> None:
    async with world.client("admin") as client:
        answer = await client.patch("/overview")
    assert answer.status_code == 405
    assert is_error(answer.json())


async def test_bug__is_not_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_session: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("central.api.summary.overview", broken)
    with capture_logs() as logs:
        async with world.client("admin") as client:
            answer = await client.get("/overview")
    assert [entry["path"] for entry in logs] == ["/api/v1/overview"]
    assert answer.status_code == 500
    assert is_error(answer.json())
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/health", "/overview", "/nope", "/session"])
async def test_headers__everywhere(world: World, path: str) -> None:
    async with world.client() as client:
        answer = await client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_body__announced_too_large(world: World) -> None:
    async with world.client("admin") as client:
        answer = await client.post("/rounds", content=b" " * (MAX_BODY + 1))
    assert answer.status_code == 413
    assert is_error(answer.json())


async def test_body__too_large_without_saying_so(world: World) -> None:
    async def drip() -> Any:
        for _ in range(MAX_BODY // 65536 + 2):
            yield b" " * 65536

    async with world.client("admin", **{"Content-Type": "application/json"}) as client:
        answer = await client.post("/rounds", content=drip())
    assert answer.status_code == 413
    assert is_error(answer.json())


async def test_health__without_login(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        assert (await client.get("/ready")).status_code == 200
        world.fleet.trouble.append("no connection to the broker")
        answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["broker"] == "no connection to the broker"


async def test_metrics__counts(world: World) -> None:
    await world.add_frame()
    async with world.client() as client:
        text = (await client.get("/metrics")).text
    assert 'wayside_frames_stored{state="pending"} 1.0' in text
    assert 'wayside_camera_fps{camera="c1",node="n1"} 5.0' in text


async def test_overview__loop_in_order(world: World) -> None:
    await world.add_frame()
    async with world.client("viewer") as client:
        view = (await client.get("/overview")).json()
    assert [step["step"] for step in view["loop"]] == ["watch", "send", "review", "train", "release", "update"]
    assert view["loop"][0]["state"] == "active"
    assert view["totals"] | {"bytes": 0} == {
        "frames": 1, "bytes": 0, "pending": 1, "labelled": 0, "labels": 0, "rounds": 0,
    }  # fmt: skip


async def test_profile__labels_with_colours_and_keys(world: World) -> None:
    async with world.client("viewer") as client:
        view = (await client.get("/profile")).json()
    assert [x["name"] for x in view["labels"]] == ["person", "two_wheeler", "car", "bus", "truck"]
    assert len({x["key"] for x in view["labels"]}) == 5


def test_openapi__documents_errors() -> None:
    paths = document()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            if (method, path.removeprefix(PREFIX)) not in OPEN:
                assert "401" in operation["responses"], (method, path)


def test_openapi__contract() -> None:
    found = {(m.upper(), p.removeprefix(PREFIX)) for p, ms in document()["paths"].items() for m in ms}
    assert found >= {
        ("POST", "/session"), ("GET", "/session"), ("DELETE", "/session"), ("GET", "/overview"),
        ("GET", "/nodes/{node}/cameras/{camera}/thumbnail"), ("POST", "/nodes/{node}/command"), ("GET", "/frames"),
        ("GET", "/queue"), ("GET", "/frames/{frame}"), ("GET", "/frames/{frame}/image"),
        ("PUT", "/frames/{frame}/labels"), ("POST", "/frames/{frame}/skip"), ("GET", "/profile"), ("GET", "/rounds"),
        ("POST", "/rounds"), ("GET", "/packs"), ("GET", "/releases"), ("POST", "/releases"), ("GET", "/events"),
        ("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/accuracy"), ("GET", "/policies"),
        ("PUT", "/policies/{node}"),
    }  # fmt: skip


# --- the UI's files --------------------------------------------------------------------------------------------------


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A built UI, with something secret beside it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<html><head></head><body><meta nonce="__CSP_NONCE__"></body></html>')
    (folder / "assets" / "app-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.mark.parametrize("path", ["", "queue", "releases/3", "index.html"])
async def test_ui__page_for_its_own_addresses(world: World, dist: Path, path: str) -> None:
    async with world.client() as client:
        answer = await client.get(f"http://centre/{path}")
    nonce = answer.text.split('nonce="')[1].split('"')[0]
    assert answer.status_code == 200
    assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
    assert "script-src 'self';" in answer.headers["content-security-policy"]


async def test_ui__assets_for_ever(world: World, dist: Path) -> None:
    async with world.client() as client:
        answer = await client.get("http://centre/assets/app-1a2b.js")
    assert answer.text == "1"
    assert "javascript" in answer.headers["content-type"]
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["../secret.txt", "assets/../../secret.txt", "link.txt", "/etc/passwd", "a\0b", ""])
def test_ui__never_leaves_its_folder(dist: Path, path: str) -> None:
    assert ui.find(dist, path) is None


@pytest.mark.parametrize("path", ["..%2fsecret.txt", "%2e%2e/secret.txt", "%2fetc%2fpasswd", "a%00b", "link.txt"])
async def test_ui__traversal_over_http(world: World, dist: Path, path: str) -> None:
    async with world.client() as client:
        answer = await client.get(f"http://centre/{path}")
    assert "secret" not in answer.text and "root:" not in answer.text


async def test_ui__not_built(world: World) -> None:
    async with world.client() as client:
        answer = await client.get("http://centre/")
    assert answer.status_code == 503
    assert "make web" in answer.text


async def test_app__without_a_centre_does_not_serve() -> None:
    app = create_app()
    with pytest.raises(RuntimeError, match="give it a centre"):
        async with app.router.lifespan_context(app):
            pass
