"""``pack``: what is in the registry, and what changed between two of them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from sqlalchemy import select

from central.api import schemas as s
from central.api.views import pack as pack_view
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, store
from central.releases import registry
from central.settings import Settings
from central.store.database import Database
from central.store.models import Pack

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The registered packs.")
Name = Annotated[str, typer.Argument(help="A registered pack: its address, the beginning of it, or its name.")]


async def _known(database: Database, text: str) -> Pack:
    address = await registry.resolve(database, text)
    async with database.read() as session:
        row = await session.get(Pack, address) if address else None
    if row is None:
        raise CommandError(f"{text}: no such pack in the registry; see 'wayside-central pack list'")
    return row


def _words(diff: s.PackDiff) -> str:
    """Return a comparison as people read it."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    def share(value: s.IntervalView | None) -> str:
        return "-" if value is None else f"{value.value:.2f} ({value.low:.2f}-{value.high:.2f})"

    classes, data, tensors = diff.classes, diff.data, diff.tensors
    changed = [f"+{n}" for n in classes.added] + [f"-{n}" for n in classes.removed]
    lines = [
        f"{diff.before[:12]} -> {diff.after[:12]}",
        f"classes  {' '.join(changed) or 'the same'} ({len(classes.kept)} kept)",
        f"data     {number(data.frames_before)} -> {number(data.frames_after)} frames: "
        f"{number(data.frames_added)} new, {number(data.frames_removed)} gone, "
        f"{number(data.frames_relabelled)} labelled anew",
    ]
    lines += [f"{m.name:<8} {number(m.before)} -> {number(m.after)}" for m in diff.metrics]
    for c in diff.per_camera:
        lines.append(
            f"camera   {c.camera}: AP50 {number(c.ap50_before)} -> {number(c.ap50_after)}, "
            f"found {share(c.found_before)} -> {share(c.found_after)}, "
            f"right {share(c.right_before)} -> {share(c.right_after)}"
        )
    delta = (
        "no delta"
        if diff.bytes.delta is None
        else f"delta {diff.bytes.delta} ({diff.bytes.delta / diff.bytes.full:.1%})"
    )
    lines.append(f"bytes    full {diff.bytes.full}, {delta}")
    lines.append(
        f"tensors  {tensors.changed} changed ({tensors.parameters_changed} values), {tensors.same} the same, "
        f"{tensors.added} new, {tensors.removed} gone"
    )
    return "\n".join(lines)


@app.command()
def diff(before: Name, after: Name, data: Data = None, as_json: Json = False) -> None:
    """Say what changed between two packs: classes, data, figures, cameras, bytes, tensors.

    Example: wayside-central pack diff base street-7
    """

    from central.api import rollouts as views
    from central.releases.compare import compare

    async def work(settings: Settings) -> s.PackDiff:
        async with store(settings) as database:
            old, new = await _known(database, before), await _known(database, after)
            return views.difference(await compare(database, settings.packs, old, new, measure=True))

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    result(found, as_json, _words(found))


@app.command("list")
def list_packs(data: Data = None, as_json: Json = False) -> None:
    """List the packs of the registry, newest first, and how many nodes run each.

    Example: wayside-central pack list
    """

    from central.api.routes.packs import running

    async def work(settings: Settings) -> list[dict[str, Any]]:
        async with store(settings) as database, database.read() as session:
            nodes = await running(session)
            rows = await session.scalars(select(Pack).order_by(Pack.registered.desc(), Pack.address))
            return [pack_view(row, nodes).model_dump(mode="json") for row in rows]

    with plain_errors():
        found = asyncio.run(work(load(data=data)))
    lines = [f"{p['address'][:12]}  {p['name']:<32} {p['size_bytes']:>10}  {len(p['running_on'])} nodes" for p in found]
    result({"packs": found}, as_json, "\n".join(lines) or "no pack yet")
