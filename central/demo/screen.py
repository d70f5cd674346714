"""Where each step of the loop stands, in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from central.api.schemas import NodeView, Overview, RoundView

STATES = {"online": "green", "stopped": "yellow", "offline": "red"}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def _nodes(nodes: list[NodeView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("node", "camera", "state", "fps", "seen", "selected", "spool", "pack"):
        table.add_column(name, justify="right" if name in ("fps", "seen", "selected", "spool") else "left")
    for node in nodes:
        colour = STATES.get(node.state, "white")
        for i, camera in enumerate(node.cameras or [None]):
            first = i == 0
            state = node.state if camera is None or node.state != "online" else camera.state or node.state
            pack = f"{f'release {node.release}' if node.release else 'base'} ({(node.pack or '')[:8]})"
            if node.update and node.update.step not in ("committed", "rolled-back"):
                pack = f"{node.update.step} {node.update.progress:.0%}"
            table.add_row(
                Text(node.node if first else "", style="bold"),
                camera.camera if camera else "",
                Text(state, style=colour),
                f"{camera.fps:.1f}" if camera else "",
                str(camera.frames) if camera else "",
                str(camera.selected) if camera else "",
                str(node.spool_frames) if first else "",
                pack if first else "",
            )
    return table


def _round(latest: RoundView | None) -> RenderableType:
    if latest is None:
        return Text("no round yet", style="dim")
    line = Table.grid(padding=(0, 1))
    if latest.state in ("done", "failed"):
        style = "green" if latest.state == "done" else "red"
        line.add_row(Text(f"{latest.id} {latest.state}", style=style), latest.detail)
        return line
    left = f"{latest.eta_s:.0f} s left" if latest.eta_s is not None else ""
    bar = ProgressBar(1.0, latest.progress, width=28)
    line.add_row(f"{latest.id} {latest.state}", bar, left, Text(latest.detail, style="dim"))
    return line


def draw(overview: Overview | None, url: str, login: list[str], said: str) -> RenderableType:
    """Return the screen. `login` are the lines on how to log in."""
    head = Text.assemble(("UI  ", "dim"), (url, "bold cyan underline"))
    for line in login:
        head.append(f"\n{line}")
    if overview is None:
        return Panel(Group(head, Text("\nstarting ...", style="dim")), title="Wayside", expand=False)
    totals = overview.totals
    steps = Table.grid(padding=(0, 2))
    review = f"{totals.pending} waiting, {totals.labelled} labelled, {totals.labels} boxes"
    steps.add_row(Text("frames", style="dim"), f"{totals.frames} received, {_size(totals.bytes)}")
    steps.add_row(Text("review", style="dim"), review)
    steps.add_row(Text("round", style="dim"), _round(overview.round))
    running = overview.release
    if running is not None:
        on = sum(1 for n in overview.nodes if n.release == running.number)
        where = f"runs on {on} of {len(overview.nodes)} nodes"
        steps.add_row(Text("release", style="dim"), f"{running.number} ({running.name}) {where}")
    if said:
        steps.add_row(Text("last", style="dim"), said)
    foot = Text("Ctrl-C stops everything; starting again goes on from here.", style="dim")
    body = Group(head, Text(), _nodes(overview.nodes), Text(), steps, Text(), foot)
    return Panel(body, title="Wayside", expand=False)
