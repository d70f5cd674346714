"""``retention``: what is kept for how long, and proof of what is gone. ``storage``: what each camera takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from central.commands.common import CommandError, Data, Json, drop, load, plain_errors, result, say, store
from central.settings import Settings
from central.store import blobs as blob_store
from central.store import retention
from central.store.blobs import BlobError
from central.store.models import Camera, Frame, Hold, RetentionRule
from central.store.retention import EVERY, RetentionError, again, due, record, rules
from central.store.retention.holds import REASONS
from central.store.retention.run import Done, Runner
from protocols.messages import utc_now

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What is kept for how long, and proof of deletion.")
MB: Final = 1e6
MAX_SHOWN: Final = 20
"""Lines of what is left, for people."""
Site = Annotated[str, typer.Option(help="The site; without it, the rule of every site that has none of its own.")]
Keys = Annotated[list[str] | None, typer.Option("--key", help="Public key (hexadecimal) to trust; may be repeated.")]


def _blobs(settings: Settings) -> blob_store.Blobs:
    return blob_store.connect(settings.blob_url, settings.data / "blobs")


def _trusted(settings: Settings, given: list[str] | None) -> list[str]:
    """Return the public keys that count: this centre's own, where it has one, and those that were given."""
    own = settings.data / "keys" / record.KEY
    return [*(given or []), *([record.public(record.signer(settings.data))] if own.exists() else [])]


@app.command()
def show(data: Data = None, as_json: Json = False) -> None:
    """Show the rules that count, and what is held.

    Example: wayside-central retention show
    """

    async def work(settings: Settings) -> tuple[rules.Rules, list[Hold], list[str]]:
        async with store(settings) as database, database.read() as session:
            found = await session.run_sync(lambda s: rules.load(s, retention.parse(settings.retention)))
            held = list(await session.scalars(select(Hold).order_by(Hold.id)))
            return found, held, await session.run_sync(rules.sites)

    with plain_errors(RetentionError):
        found, held, sites = asyncio.run(work(load(data=data)))
    names = sorted({EVERY, *sites, *found.set_here})
    lines = [f"{'every site' if name == EVERY else name:<24} {found.at(name).words()}" for name in names]
    lines += [f"hold {h.id}: {h.frame or f'{h.node}/{h.camera}'}  {h.reason}" for h in held]
    plain = {"rules": found.plain(), "sites": sites, "holds": [
        {"id": h.id, "frame": h.frame, "node": h.node, "camera": h.camera, "reason": h.reason} for h in held
    ]}  # fmt: skip
    result(plain, as_json, "\n".join(lines))


def _told(found: due.Preview) -> str:
    lines = [
        f"{site}/{node}/{camera}: {p.frames} frames, {p.bytes / MB:.1f} MB"
        + (f"; labels of {p.labels} more" if p.labels else "")
        for (site, node, camera), p in sorted(found.cameras.items())
    ]
    lines.append(f"in all {found.frames} frames, {found.bytes / MB:.1f} MB, {found.audit} entries of the audit log")
    lines += [f"kept: {count} frames, {REASONS[reason]}" for reason, count in sorted(found.kept.items())]
    return "\n".join(lines)


async def _preview(settings: Settings, site: str, rule: retention.Rule | None) -> due.Preview:
    def work(session: Session) -> due.Preview:
        those = rules.load(session, retention.parse(settings.retention))
        return due.preview(session, those if rule is None else those.with_(site, rule), utc_now())

    async with store(settings) as database:
        return await database.run_read(work)


def _plain(found: due.Preview) -> dict[str, Any]:
    cameras = [
        {
            "site": site, "node": node, "camera": camera, "frames": p.frames, "bytes": p.bytes, "labels": p.labels,
            "by": p.by,
        }
        for (site, node, camera), p in sorted(found.cameras.items())
    ]  # fmt: skip
    return {"frames": found.frames, "bytes": found.bytes, "audit": found.audit, "kept": found.kept, "cameras": cameras}


@app.command()
def preview(
    rule: Annotated[str, typer.Argument(help="A rule to try, as in 'unlabelled=30'; else those that count.")] = "",
    site: Site = EVERY,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say what the next run would delete: frames and bytes of each camera. Nothing is changed.

    Example: wayside-central retention preview "unlabelled=30 skipped=7" --site north
    """
    with plain_errors(RetentionError):
        tried = retention.parse(rule) if rule else None
        if tried is not None:
            rules.check(site, tried)
        found = asyncio.run(_preview(load(data=data), site, tried))
    result(_plain(found), as_json, _told(found))


@app.command("set")
def set_(
    rule: Annotated[str, typer.Argument(help="As in 'unlabelled=30 size=500GB'; 'none' takes the rule back.")],
    site: Site = EVERY,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after the preview.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what a rule would delete, ask, and set it. The next run, within hours, deletes.

    Example: wayside-central retention set "unlabelled=30 skipped=7 size=500GB" --site north
    """

    async def work(settings: Settings, given: retention.Rule | None) -> None:
        async with store(settings) as database, database.write() as session:
            row = await session.get(RetentionRule, site)
            if given is None:
                if row is not None:
                    await session.delete(row)
                return
            row = row or RetentionRule(site=site)
            for name in retention.Rule.__struct_fields__:
                setattr(row, name, getattr(given, name))
            row.updated, row.by = utc_now(), "command line"
            session.add(row)

    with plain_errors(RetentionError):
        settings = load(data=data)
        given = None if rule == "none" else retention.parse(rule)
        if given is not None:
            rules.check(site, given)
            found = asyncio.run(_preview(settings, site, given))
            say(_told(found))
            if not yes and not typer.confirm("Set this rule?", err=True):
                raise typer.Exit(1)
        asyncio.run(work(settings, given))
    words = "none of its own" if given is None else given.words()
    result({"site": site, "rule": None if given is None else msgspec.to_builtins(given)}, as_json, f"{site}: {words}")


@app.command()
def hold(
    reason: Annotated[str, typer.Argument(help="Why, for those who find it later.")],
    frame: Annotated[str | None, typer.Option(help="A frame, by its id.")] = None,
    camera: Annotated[str | None, typer.Option(help="All frames of a camera: NODE/CAMERA.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep a frame, or all frames of a camera, whatever the rules say.

    Example: wayside-central retention hold "case 17" --camera gate-1/north
    """

    async def work(settings: Settings) -> int:
        node, _, name = (camera or "").partition("/")
        async with store(settings) as database, database.write() as session:
            place = await session.get(Camera, (node, name)) if camera else await session.get(Frame, frame)
            if place is None:
                raise CommandError(f"{camera or frame}: no such {'camera' if camera else 'frame'}")
            row = Hold(frame=frame, node=node or None, camera=name or None, reason=reason, by="command line")
            session.add(row)
            await session.flush()
            return row.id

    with plain_errors():
        if (frame is None) == (camera is None):
            raise CommandError("give --frame ID, or --camera NODE/CAMERA")
        number = asyncio.run(work(load(data=data)))
    result({"hold": number}, as_json, f"hold {number}")


@app.command()
def unhold(
    number: Annotated[int, typer.Argument(help="As 'retention show' lists it.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take a hold back.

    Example: wayside-central retention unhold 3
    """
    with plain_errors():
        if not asyncio.run(drop(load(data=data), Hold, number)):
            raise CommandError(f"no hold {number}")
    result({"hold": None}, as_json, "")


@app.command()
def run(data: Data = None, as_json: Json = False) -> None:
    """Delete now what the rules say, in place of waiting for the server to do it. Not while a server runs one.

    Example: wayside-central retention run --data /var/lib/wayside
    """

    async def work(settings: Settings) -> Done:
        async with store(settings) as database:
            runner = Runner(database, _blobs(settings), settings.data, retention.parse(settings.retention))
            return await runner.run("command line")

    with plain_errors(RetentionError, BlobError):
        done = asyncio.run(work(load(data=data)))
    what = f"{done.frames} frames ({done.bytes / MB:.1f} MB), labels of {done.labels}, {done.audit} entries"
    text = f"run {done.number}: {what}" if done.number else "nothing to delete"
    kept = [f"kept: {count} frames, {REASONS[reason]}" for reason, count in sorted(done.kept.items())]
    plain = {"run": done.number, "frames": done.frames, "bytes": done.bytes, "labels": done.labels, "audit": done.audit,
             "kept": done.kept, "hash": done.hash}  # fmt: skip
    result(plain, as_json, "\n".join([text, *kept]))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write: JSON lines.")],
    since: Annotated[int, typer.Option(min=1, help="First run.")] = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write the signed record of everything that was deleted. Keep it beside the backups, and elsewhere.

    Example: wayside-central retention export deletions.jsonl
    """

    async def work(settings: Settings) -> int:
        async with store(settings) as database:
            return await database.run_read(lambda session: record.save(session, file, since))

    with plain_errors(RetentionError):
        settings = load(data=data)
        count, key = asyncio.run(work(settings)), record.public(record.signer(settings.data))
    result({"runs": count, "file": str(file), "key": key}, as_json, f"{count} runs in {file}; key {key}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A record that 'retention export' wrote.")],
    offline: Annotated[bool, typer.Option("--offline", help="Only the record: hashes, chain, signatures.")] = False,
    key: Keys = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check the record, and that nothing of what it lists is left: rows, images, segments, copies, search.

    Backups, browsers and nodes are not looked at. Exit status 1: the record is not sound, or something is left.

    Example: wayside-central retention verify deletions.jsonl
    """
    from central.store.retention.verify import Found, look

    async def work(settings: Settings) -> tuple[Found, int]:
        async with store(settings) as database:
            found = await look(database, _blobs(settings), settings.data, file)
            return found, (await database.run_read(again.known))[0]

    with plain_errors(RetentionError, BlobError):
        settings = load(data=data)
        checked = record.check(file, _trusted(settings, key))
        found, last = (Found(), 0) if offline else asyncio.run(work(settings))
    good = not checked.problems and not found.left
    upto = checked.first + checked.runs - 1
    lines = [f"{checked.runs} runs, {checked.items} items, head {checked.head[:16]}", *checked.problems]
    if not offline:
        lines.append(f"looked at {found.images} places of images, {found.segments} segments, {found.files} files")
        lines += [f"{last - upto} later runs of this centre are not in it"] if last > upto else []
        lines += found.left[:MAX_SHOWN]
        lines += [f"and {len(found.left) - MAX_SHOWN} more"] if len(found.left) > MAX_SHOWN else []
    lines.append("sound, and nothing is left" if good and not offline else "sound" if good else "NOT proven")
    plain = {"ok": good, "runs": checked.runs, "items": checked.items, "first": checked.first, "head": checked.head,
             "keys": checked.keys, "problems": checked.problems, "left": found.left, "segments": found.segments,
             "files": found.files, "images": found.images}  # fmt: skip
    result(plain, as_json, "\n".join(lines))
    if not good:
        raise typer.Exit(1)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A record that 'retention export' wrote, later than this data.")],
    key: Keys = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Delete again what a record says was deleted: after a restore of an older backup.

    Example: wayside-central retention apply deletions.jsonl --data /var/lib/wayside
    """

    async def work(settings: Settings) -> again.Again:
        async with store(settings) as database:
            trusted = _trusted(settings, key)
            return await again.apply(database, _blobs(settings), settings.data, file, trusted)

    with plain_errors(RetentionError, BlobError):
        done = asyncio.run(work(load(data=data)))
    plain = {"frames": done.frames, "labels": done.labels, "audit": done.audit, "runs": done.runs}
    result(plain, as_json, again.told(done))


def storage(
    site: Annotated[str | None, typer.Option(help="Only the cameras of this site.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what each camera takes: frames and bytes by state and age, labels, and what the rows take, estimated.

    Example: wayside-central storage --site north
    """
    from central.store.usage import Camera as Used
    from central.store.usage import usage

    async def work(settings: Settings) -> list[Used]:
        async with store(settings) as database:
            return await database.run_read(lambda session: usage(session, utc_now()))

    with plain_errors():
        found = [c for c in asyncio.run(work(load(data=data))) if site in (None, c.site)]
    lines = [f"{'camera':<40} {'frames':>9} {'MB':>10} {'labels':>8} {'rows MB':>8}  by age"]
    for c in found:
        ages = ", ".join(f"{age} {part.frames}" for age, part in c.ages.items())
        name = f"{c.site}/{c.node}/{c.camera}"
        size, rows = f"{c.all.bytes / MB:>10.1f}", f"{c.rows_bytes / MB:>8.1f}"
        lines.append(f"{name:<40} {c.all.frames:>9} {size} {c.labels:>8} {rows}  {ages}")
    total = sum(c.all.bytes for c in found)
    lines.append(f"{sum(c.all.frames for c in found)} frames, {total / MB:.1f} MB of images")
    plain = {"frames": sum(c.all.frames for c in found), "bytes": total, "cameras": [_camera(c) for c in found]}
    result(plain, as_json, "\n".join(lines))


def _camera(c: Any) -> dict[str, Any]:
    parts = {
        name: {key: {"frames": p.frames, "bytes": p.bytes} for key, p in getattr(c, name).items()}
        for name in ("states", "ages")
    }
    return {"site": c.site, "node": c.node, "camera": c.camera, "frames": c.all.frames, "bytes": c.all.bytes,
            "labels": c.labels, "proposals": c.proposals, "rows_bytes": c.rows_bytes, **parts}  # fmt: skip
