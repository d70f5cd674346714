"""``drift``: how cameras change, as a table, as JSON and as a picture."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import select

from central.annotate import profile
from central.annotate.profile import ProfileError
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, store
from central.settings import Settings
from central.store.models import DriftLook
from protocols.messages import utc_now

NAMES: Final = {"drift": "drift", "steady": "steady", "not_enough": "cannot tell"}
COLOURS: Final = {"drift": "#c0392b", "steady": "#2e7d32", "not_enough": "#9e9e9e"}
HIGH: Final = 4.0
"""Times the usual at which the picture ends."""


def _plain(row: DriftLook) -> dict[str, Any]:
    from central.learn import drift

    return {
        "node": row.node, "camera": row.camera, "at": row.at.isoformat(), "verdict": row.verdict, "reason": row.reason,
        "p": row.p, "strength": drift.strength(row.measures), "measures": row.measures, "basis": row.basis,
        "reference": row.reference, "frames_before": row.frames_before, "frames_now": row.frames_now, "pack": row.pack,
    }  # fmt: skip


async def _looks(
    settings: Settings, node: str | None, camera: str | None, since: datetime, now: bool
) -> list[dict[str, Any]]:
    from central.learn.drift import watch

    async with store(settings) as database:
        if now:
            labels = profile.current(settings).label_names
            await watch.look(database, labels, utc_now(), settings.drift_every_h or watch.WEEK_H, 0.0)
        query = select(DriftLook).where(DriftLook.at >= since).order_by(DriftLook.at, DriftLook.id)
        if node is not None:
            query = query.where(DriftLook.node == node)
        if camera is not None:
            query = query.where(DriftLook.camera == camera)
        async with database.read() as session:
            return [_plain(row) for row in await session.scalars(query)]


def _by_camera(looks: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for look in looks:
        found[f"{look['node']}/{look['camera']}"].append(look)
    return dict(sorted(found.items()))


def draw(looks: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a line for each camera: how many times the usual its strongest measure was. Raises CommandError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise CommandError("--picture: matplotlib is not installed; pip install 'wayside[central]'") from None
    cameras = _by_camera(looks)
    figure = Figure(figsize=(9, 1.2 + 1.3 * max(1, len(cameras))), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(max(1, len(cameras)), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, own) in zip(rows, cameras.items(), strict=False):
        times = [datetime.fromisoformat(look["at"]) for look in own]
        high = [min(HIGH, look["strength"] or 0.0) for look in own]
        axes.plot(times, high, color="#555555", linewidth=1)
        axes.scatter(times, high, c=[COLOURS[look["verdict"]] for look in own], s=18, zorder=3)
        axes.axhline(1.0, color="#bbbbbb", linewidth=0.8, linestyle="--")
        axes.set(ylim=(0, HIGH * 1.05), ylabel="times usual")
        axes.set_title(f"{name}: {NAMES[own[-1]['verdict']]}", loc="left", fontsize=9)
    rows[-1].tick_params(axis="x", rotation=30)
    try:
        figure.savefig(path, dpi=110)
    except ValueError as error:
        raise CommandError(f"{path}: {error}; give a name that ends in .png or .svg") from None


def drift_(
    node: Annotated[str | None, typer.Option(help="Only the cameras of this node.")] = None,
    camera: Annotated[str | None, typer.Option(help="Only cameras of this name.")] = None,
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How far back.")] = 7.0,
    look: Annotated[bool, typer.Option("--look", help="Look at every camera now, too.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw the history: a .png or .svg file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show whether cameras still show what their pack knows. Exit status 1: one drifts.

    Example: wayside-central drift --days 14 --picture drift.png
    """
    with plain_errors(ProfileError):
        looks = asyncio.run(_looks(load(data=data), node, camera, utc_now() - timedelta(days=days), look))
        if picture is not None:
            draw(looks, picture)
    latest = [own[-1] for own in _by_camera(looks).values()]
    lines = [f"{NAMES[e['verdict']]:12} {e['node']}/{e['camera']}  {e['at'][:16]}  {e['reason']}" for e in latest]
    text = "\n".join(lines) or "no camera was looked at; the server looks every few hours, and --look does now"
    drifting = [f"{e['node']}/{e['camera']}" for e in latest if e["verdict"] == "drift"]
    result({"cameras": latest, "looks": looks, "drifting": drifting}, as_json, text)
    if drifting:
        raise typer.Exit(1)
