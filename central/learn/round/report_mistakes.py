"""The part of a round's report that shows mistakes: the confusion matrix, and crops of the worst of each kind."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from central.learn.round.measuring import Measured
from central.learn.round.mistakes import KINDS, Kind, Mistake, Mistakes, mistakes
from central.learn.round.pictures import crop
from central.learn.round.plan import Plan

NONE: Final = "&ndash;"
ABOUT: Final[dict[Kind, str]] = {
    "missed": "Objects that it does not see, the largest first.",
    "false": "What it reports where people saw nothing of the kind, the surest first.",
    "wrong class": "Seen, and called something else, the surest first.",
}


@dataclass(frozen=True)
class Errors:
    """What the page shows of mistakes: crops are JPEG."""

    found: Mistakes | None = None
    crops: Mapping[Mistake, bytes] = field(default_factory=dict)


def errors(plan: Plan, measured: Measured) -> Errors:
    """Return the mistakes of the new pack on the held-back frames, with pictures of the worst."""
    if measured.truth is None or measured.after is None:
        return Errors()
    before = measured.before.found if measured.before is not None else []
    threshold = plan.parent.manifest.score_threshold
    found = mistakes(measured.truth, measured.after.found, before, measured.threshold, threshold)
    pictures = {m: crop(plan.images / m.file, m.box) for kind in KINDS for m in found.worst[kind]}
    return Errors(found, {m: data for m, data in pictures.items() if data is not None})


def confusion(report: Mapping[str, Any], shown: Errors) -> str:
    if shown.found is None:
        return ""
    names = [*(escape(n) for n in report["labels"]), "none"]
    matrix = shown.found.confusion
    rows = []
    for i, name in enumerate(names):
        total = int(matrix[i].sum())
        cells = []
        for j in range(len(names)):
            count = int(matrix[i, j])
            shade = min(5, int(6 * count / total)) if count and total and i < len(names) - 1 else 0
            text = NONE if i == j == len(names) - 1 else str(count) if count else '<span class="mute">0</span>'
            cells.append(f'<td class="q{max(shade, int(count > 0))}">{text}</td>')
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        f'<section><h2>Confusion</h2><div class="scroll"><table class="matrix"><caption>Rows: what people saw. '
        f"Columns: what the new pack says, from a score of {report['threshold']:.2f} and an overlap of a half."
        f"</caption><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def worst(shown: Errors) -> str:
    if shown.found is None:
        return ""
    parts = [_kind(kind, shown) for kind in KINDS]
    return f'<section class="long"><h2>Worst errors</h2>{"".join(parts)}</section>'


def _kind(kind: Kind, shown: Errors) -> str:
    assert shown.found is not None
    count = shown.found.counts[kind]
    figures = "".join(_crop(m, shown.crops[m]) for m in shown.found.worst[kind] if m in shown.crops)
    body = f'<div class="crops">{figures}</div>' if figures else '<p class="mute">None.</p>'
    return f'<h3>{kind.capitalize()}: {count}</h3><p class="mute">{ABOUT[kind]}</p>{body}'


def _crop(mistake: Mistake, data: bytes) -> str:
    said = {
        "missed": f"<b>{escape(mistake.true)}</b>",
        "false": f"<b>{escape(mistake.seen)}</b> {mistake.score or 0:.2f}",
        "wrong class": f"<b>{escape(mistake.true)}</b> as {escape(mistake.seen)} {mistake.score or 0:.2f}",
    }[mistake.kind]
    fresh = ' <span class="tag">new error</span>' if mistake.new else ""
    name = escape(mistake.file.rsplit(".", 1)[0][:13])
    source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return (
        f'<figure><img src="{source}" alt="{escape(mistake.kind)}: {escape(mistake.true or mistake.seen)}">'
        f"<figcaption>{said}{fresh}<br>{escape(mistake.camera)} <code>{name}</code></figcaption></figure>"
    )
