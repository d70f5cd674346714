"""Text that somebody hostile gave, everywhere that a node or a person can give one, in every page (P20).

Each text of the database that people are shown gets markup that would run and call another host. Pages are looked at
with the policy of the page, and without: escaping alone has to hold. The twins break the escaping, as
``dangerouslySetInnerHTML`` would: without the policy the markup runs, with it the browser refuses and says so.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import JSON, String

from central.store.models import Base
from tests.web import world
from tests.web.conftest import WAIT_MS, _centre, log_in

pytestmark = [pytest.mark.web, pytest.mark.system, pytest.mark.timeout(280)]
MARKUP: Final = "<img src=//evil.invalid/x onerror=window.pwned=1>"
COLUMNS: Final = frozenset(
    ("node", "camera", "site", "version", "backend", "source", "name", "by", "notes", "note", "detail", "reason",
     "label", "author", "labelled_by", "outcome", "url", "target", "action", "user", "from_pack_name", "title")
)  # fmt: skip
KEYS: Final = frozenset(("detail", "reason", "reasons", "note", "text", "name", "title", "label", "why", "message"))
"""Of values within JSON."""
SPARED: Final = {("pack", "source"), ("setting", "key")}
PAGES: Final = (
    "/", "/review", "/pairs", "/agreement", "/data", "/rounds", "/packs", "/rollouts", "/people", "/profile",
    "/storage",
    f"/packs/compare?from={world.address(1)}&to={world.address(2)}",
    f"/cameras/{quote('harbour-1' + MARKUP, '')}/{quote('quay-east' + MARKUP, '')}",
    f"/search?q={MARKUP}", f"/{MARKUP}",
)  # fmt: skip
SETTLE_MS: Final = 1500
"""For what a page asks for, and for what would run then."""
BROKEN: Final = """
const own = Object.getOwnPropertyDescriptor(Node.prototype, 'textContent');
Object.defineProperty(Node.prototype, 'textContent', {...own, set(text) {
  if (this instanceof HTMLElement && String(text).includes('<img')) this.innerHTML = text;
  else own.set.call(this, text);
}});"""
"""An escaping that does not."""


def _worse(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _worse(v, key if key == "reasons" else k) for k, v in value.items()}
    if isinstance(value, list):
        return [_worse(one, key) for one in value]
    return value + MARKUP if isinstance(value, str) and key in KEYS else value


def poison(path: Path) -> int:
    """Put markup into every text that people are shown; return into how many columns."""
    touched = 0
    with sqlite3.connect(path, timeout=30) as rows:
        for table in Base.metadata.tables.values():
            spared = {column for name, column in SPARED if name == table.name}
            for column in table.columns:
                where = f'UPDATE "{table.name}" SET "{column.name}"'
                if isinstance(column.type, JSON):
                    found = rows.execute(f'SELECT rowid, "{column.name}" FROM "{table.name}"').fetchall()
                    for number, text in found:
                        if text and (worse := json.dumps(_worse(json.loads(text)))) != text:
                            rows.execute(f"{where} = ? WHERE rowid = ?", (worse, number))
                elif isinstance(column.type, String) and column.name in COLUMNS - spared:
                    try:
                        touched += rows.execute(f'{where} = "{column.name}" || ?', (MARKUP,)).rowcount > 0
                    except sqlite3.IntegrityError:
                        continue  # one of a few words, none of which somebody gives
    rows.close()
    return touched


@dataclass
class Hostile:
    """A centre full of markup, and how to be its admin."""

    url: str
    token: str


@dataclass
class Seen:
    """What came of looking at pages."""

    ran: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What the browser says that the policy forbade."""
    outside: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Pages that showed the markup as text."""


@pytest.fixture(scope="module")
def hostile(built: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """A centre where everybody is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    running = _centre(folder, "--fleet")
    url = next(running)
    client, token = log_in(url, world.NAME)
    state = client.get("/profile").json()
    client.post("/tokens", json={"name": "cron"})
    client.post("/snapshots", json={"name": "first"})
    frame = client.post("/queue/next", json={}).json()["frame"]["id"]
    client.post(f"/frames/{frame}/flag", json={"note": "look"})
    profile = state["profile"]
    worse = [{**label, "name": label["name"] + MARKUP} for label in profile["labels"]]
    names = {label["name"]: label["name"] + MARKUP for label in profile["labels"]}
    tags = [{**t, "name": t["name"] + MARKUP, "title": MARKUP, "group": MARKUP} for t in profile["tags"]]
    new = {**profile, "name": MARKUP, "labels": worse, "tags": tags}
    renamed = {"renamed": names, "renamed_tags": {t["name"]: t["name"] + MARKUP for t in profile["tags"]}}
    answer = client.put("/profile", json={"version": state["version"], "profile": new, "note": MARKUP, **renamed})
    assert answer.status_code == 200, answer.text
    assert poison(folder / "central.db") > 20
    report = folder / "rounds" / "round-1" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text(f"<!doctype html><main>{MARKUP}<script>window.pwned=1</script></main>")
    client.close()
    yield Hostile(url, token)
    running.close()  # type: ignore[attr-defined]


def _left(seen: Seen, request: Any) -> None:
    """Note a request to another host, unless the policy kept it from leaving."""
    if "//evil.invalid" in request.url[:30] and request.failure != "csp":
        seen.outside.append(request.url)


def look(browser: Any, hostile: Hostile, pages: tuple[str, ...], policy: bool, broken: bool = False) -> Seen:
    """Open `pages`, with the page's own policy or without; `broken` where nothing is escaped."""
    seen = Seen()
    context = browser.new_context(viewport={"width": 1366, "height": 768}, bypass_csp=not policy)
    context.add_cookies([{"name": "wayside_session", "value": hostile.token, "url": hostile.url}])
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("console", lambda m: seen.refused.append(m.text) if "Content Security Policy" in m.text else None)
    page.on("requestfinished", lambda r: _left(seen, r))
    page.on("requestfailed", lambda r: _left(seen, r))
    if broken:
        page.add_init_script(BROKEN)
    for path in pages:
        page.goto(hostile.url + path)
        page.locator("main").first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        seen.ran += [path] if page.evaluate("'pwned' in window") else []
        seen.elements += [path] if page.locator("img[onerror]").count() else []
        seen.shown += [path] if "onerror=window" in page.locator("body").inner_text() else []
    context.close()
    return seen


@pytest.mark.parametrize("policy", [True, False])
def test_pages__show_markup_as_text_and_run_none(browser: Any, hostile: Hostile, policy: bool) -> None:
    seen = look(browser, hostile, PAGES, policy)
    assert (seen.ran, seen.refused, seen.outside, seen.elements) == ([], [], [], [])
    assert len(seen.shown) > len(PAGES) // 2, "hardly any page showed what was given; is the test still one?"


def test_pages__broken_escaping_is_found_and_the_policy_holds(browser: Any, hostile: Hostile) -> None:
    bare = look(browser, hostile, ("/people",), policy=False, broken=True)
    assert bare.ran == ["/people"] and bare.outside and bare.elements
    held = look(browser, hostile, ("/people",), policy=True, broken=True)
    assert held.elements and held.refused and (held.ran, held.outside) == ([], [])


def test_report__of_a_round_runs_nothing_even_if_it_has_markup(browser: Any, hostile: Hostile) -> None:
    page = ("/api/v1/rounds/round-1/report",)
    held = look(browser, hostile, page, policy=True)
    assert held.elements and held.refused and (held.ran, held.outside) == ([], [])
    assert look(browser, hostile, page, policy=False).ran == list(page)


def test_poison__reaches_what_people_give(hostile: Hostile) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {hostile.token}"}, timeout=WAIT_MS / 1000) as client:
        paths = ("overview", "queue", "rounds", "users", "audit")
        told = json.dumps([client.get(f"{hostile.url}/api/v1/{path}").json() for path in paths])
    assert len(re.findall("onerror", told)) > 100
