"""What is kept for how long, what is held, and the record of what was deleted. For admins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from central.api import schemas as s
from central.api.access import Admin
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented, not_found
from central.store import retention
from central.store.models import Camera, DeletionRun, Frame, Hold, RetentionRule, Setting
from central.store.retention import EVERY, RetentionError, Rule, due, record, rules
from central.store.retention.holds import REASONS
from central.store.retention.run import LAST
from protocols.messages import IDENTITY, utc_now

router = APIRouter(prefix="/retention", tags=["retention"])
NAME: Final = "every-site"
"""In addresses, for the rule of sites that have none of their own."""
MAX_RUNS: Final = 500
CHUNK: Final = 256 * 1024
IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of a record that is not written to a file first."""
Site = Annotated[str, Path(pattern=IDENTITY)]


def _settings(centre: Centre) -> Rule:
    return retention.parse(centre.settings.retention)


def _shown(site: str, rule: Rule, row: RetentionRule | None) -> s.RuleOfSite:
    fields = {name: getattr(rule, name) for name in Rule.__struct_fields__}
    name = NAME if site == EVERY else site
    return s.RuleOfSite(site=name, by=row.by if row else "", updated=row.updated if row else None, **fields)


def _rule(site: str, body: s.RuleBody) -> tuple[str, Rule]:
    """Return the key and the rule of a request. Raises ApiError."""
    key = EVERY if site == NAME else site
    rule = Rule(**{name: getattr(body, name) for name in Rule.__struct_fields__})
    try:
        rules.check(key, rule)
    except RetentionError as error:
        raise ApiError(422, "bad_rule", str(error)) from None
    return key, rule


@router.get("", responses=documented(401, 403))
async def kept(_: Admin, centre: CentreDep) -> s.RetentionView:
    """The rules that count, and what came of the last run. Without any, everything is kept."""
    async with centre.database.read() as session:
        rows = list(await session.scalars(select(RetentionRule).order_by(RetentionRule.site)))
        sites = sorted(await session.scalars(select(Frame.site).distinct()))
        last = await session.get(Setting, LAST)
    shown = [_shown(row.site, rules.rule_of(row), row) for row in rows]
    if not any(row.site == EVERY for row in rows):
        shown.insert(0, _shown(EVERY, _settings(centre), None))
    then = None if last is None else s.RetentionLast(**last.value)
    return s.RetentionView(
        rules=shown, sites=sites, every_h=centre.settings.retention_every_h, last=then, reasons=dict(REASONS)
    )


@router.post("/rules/{site}/preview", responses=documented(401, 403, 422))
async def preview(site: Site, body: s.RuleBody, _: Admin, centre: CentreDep) -> s.PreviewView:
    """What the next run would delete if this were the rule of the site: frames and bytes of each camera."""
    key, rule = _rule(site, body)

    def work(session: Session) -> due.Preview:
        those = rules.load(session, _settings(centre)).with_(key, rule)
        own = set(those.set_here) - {EVERY}
        only = [key] if key != EVERY else [name for name in rules.sites(session) if name not in own]
        return due.preview(session, those, utc_now(), only, audit=key == EVERY)

    found = await centre.database.run_read(work)
    cameras = [
        s.PreviewCamera(
            site=place[0], node=place[1], camera=place[2], frames=part.frames, bytes=part.bytes, labels=part.labels,
            by=part.by,
        )
        for place, part in sorted(found.cameras.items(), key=lambda each: -each[1].bytes)
    ]  # fmt: skip
    return s.PreviewView(
        frames=found.frames, bytes=found.bytes, audit=found.audit, kept=found.kept, kept_bytes=found.kept_bytes,
        cameras=cameras,
    )  # fmt: skip


@router.put("/rules/{site}", responses=documented(401, 403, 422))
async def set_rule(site: Site, body: s.RuleBody, person: Admin, centre: CentreDep) -> s.RuleOfSite:
    """Set the rule of a site, or of `every-site`. Look at the preview first: what a run deleted is gone."""
    key, rule = _rule(site, body)
    async with centre.database.write() as session:
        row = await session.get(RetentionRule, key) or RetentionRule(site=key)
        for name, value in msgspec.to_builtins(rule).items():
            setattr(row, name, value)
        row.updated, row.by = utc_now(), person.name
        session.add(row)
        await session.flush()
    return _shown(key, rule, row)


@router.delete("/rules/{site}", status_code=204, responses=documented(401, 403, 404))
async def drop_rule(site: Site, _: Admin, centre: CentreDep) -> None:
    """Take the rule of a site back: then that of every site counts, or that of the settings."""
    async with centre.database.write() as session:
        row = await session.get(RetentionRule, EVERY if site == NAME else site)
        if row is None:
            raise not_found(f"rule of {site}")
        await session.delete(row)


@router.get("/holds", responses=documented(401, 403))
async def holds(_: Admin, centre: CentreDep) -> list[s.HoldView]:
    """What is kept whatever the rules say."""
    async with centre.database.read() as session:
        return [_hold(row) for row in await session.scalars(select(Hold).order_by(Hold.id.desc()))]


def _hold(row: Hold) -> s.HoldView:
    return s.HoldView(**{name: getattr(row, name) for name in s.HoldView.model_fields})


@router.post("/holds", status_code=201, responses=documented(401, 403, 404, 422))
async def hold(body: s.HoldBody, person: Admin, centre: CentreDep) -> s.HoldView:
    """Keep a frame, or all frames of a camera, until the hold is taken back."""
    if (body.frame is None) == (body.camera is None) or (body.camera is None) != (body.node is None):
        raise ApiError(422, "bad_hold", "give a frame, or a node and its camera")
    async with centre.database.write() as session:
        if body.frame is not None and await session.get(Frame, body.frame) is None:
            raise not_found(f"frame {body.frame}")
        if body.camera is not None and await session.get(Camera, (body.node, body.camera)) is None:
            raise not_found(f"camera {body.camera} of node {body.node}")
        row = Hold(frame=body.frame, node=body.node, camera=body.camera, reason=body.reason, by=person.name)
        session.add(row)
        await session.flush()
        return _hold(row)


@router.delete("/holds/{number}", status_code=204, responses=documented(401, 403, 404))
async def release(number: int, _: Admin, centre: CentreDep) -> None:
    """Take a hold back: the next run deletes what the rules say."""
    async with centre.database.write() as session:
        row = await session.get(Hold, min(number, 2**31 - 1))
        if row is None:
            raise not_found(f"hold {number}")
        await session.delete(row)


@router.get("/runs", responses=documented(401, 403))
async def runs(
    _: Admin, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=MAX_RUNS)] = 50
) -> list[s.DeletionRunView]:
    """The runs that deleted something, newest first."""
    query = select(DeletionRun).where(DeletionRun.hash != "").order_by(DeletionRun.number.desc()).limit(limit)
    async with centre.database.read() as session:
        rows = list(await session.scalars(query))
    return [s.DeletionRunView(**{n: getattr(row, n) for n in s.DeletionRunView.model_fields}) for row in rows]


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(CHUNK):
            yield piece


_LOG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}


@router.get("/record", response_class=StreamingResponse, responses=_LOG | documented(401, 403))
async def exported(
    _: Admin, centre: CentreDep, since: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1
) -> StreamingResponse:
    """The signed record of what was deleted, from a run on: check it with `wayside-central retention verify`."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by whoever reads it
    await centre.database.run_read(lambda session: record.export(session, file, since))
    name = f"deletions-{datetime.now().astimezone():%Y-%m-%d}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(_pieces(file), media_type="application/x-ndjson", headers=headers)
