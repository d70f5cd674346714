"""The report of a round as one HTML file: style and pictures within, no script, nothing from elsewhere.

    report.json + errors (crops of held-back frames) -> render -> report.html

Everything that people named (classes, cameras, notes) is escaped. No element has a style of its own, so that the server
can show it under a policy that allows one style sheet, by its hash (`STYLE`), and pictures that lie within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from central.learn.round.pictures import Axis, Line, bar, legend, number, plot, span
from central.learn.round.report_mistakes import NONE, Errors, confusion, worst
from central.learn.round.style import STYLE

OUTCOMES: Final = {"pass": "holds", "fail": "fails", "not_enough": "cannot tell"}
STAGES: Final = {
    "snapshot_s": "Snapshot of the labels, images", "lesson_s": "Lesson: memory, the pack's own labels",
    "training_s": "Training", "export_s": "Rounding, export, proof", "evaluation_s": "Evaluation, timing, gates",
    "registration_s": "Registry, delta", "report_s": "Report",
}  # fmt: skip
PARTS: Final = (("classes", "classes"), ("boxes", "boxes"), ("sides", "box sides"), ("tags", "tags"), ("kept", "kept"))
"""Of the loss, and what they are called; kept: held to what the pack before said."""


def render(report: Mapping[str, Any], shown: Errors) -> str:
    """Return the page."""
    title = f"Round {report['round']}: {report['name']}"
    parts = [
        _verdict(report), _tiles(report), _gates(report["gates"]), _changes(report), _curves(report),
        confusion(report, shown), worst(shown), _tags(report.get("tags") or []), _new(report), _incremental(report),
        _stages(report), _how(report),
    ]  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>"
        f'<header><h1>{escape(title)}</h1><p class="mute">{_subtitle(report)}</p></header>\n'
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def _subtitle(report: Mapping[str, Any]) -> str:
    by = f" by {escape(report['by'])}" if report.get("by") else ""
    begun = f", begun {escape(report['begun'].replace('T', ' ')[:19])} UTC" if report.get("begun") else ""
    starts = report.get("starts", 1)
    again = f"; it was ended {starts - 1} times and went on" if starts > 1 else ""
    return f"from {escape(report['parent_name'])}{by}{begun}{again}"


def _ap(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _points(value: float | None) -> str:
    if value is None:
        return NONE
    style = "up" if value > 0.0005 else "down" if value < -0.0005 else "mute"
    return f'<span class="{style}">{100 * value:+.1f}</span>'


def _spanned(pair: Sequence[float] | None, scale: float = 1.0, form: str = ".3f") -> str:
    return NONE if pair is None else f"{scale * pair[0]:{form}} to {scale * pair[1]:{form}}"


def _bytes(count: int | None) -> str:
    if count is None:
        return NONE
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} KB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", numbers: Sequence[int] = ()) -> str:
    """Return a table of finished HTML; the first cell of a row is its heading, columns of `numbers` stand right."""

    def cell(i: int, text: str) -> str:
        style = ' class="n"' if i in numbers else ""
        return f'<th scope="row">{text}</th>' if i == 0 else f"<td{style}>{text}</td>"

    top = "".join(f'<th scope="col"{" class=" + chr(34) + "n" + chr(34) if i in numbers else ""}>{t}</th>'
                  for i, t in enumerate(head))  # fmt: skip
    body = "".join(f"<tr>{''.join(cell(i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    note = f"<caption>{caption}</caption>" if caption else ""
    return f'<div class="scroll"><table>{note}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _verdict(report: Mapping[str, Any]) -> str:
    held = not report["offered"]
    word = "Not offered" if held else "May be released"
    text = report["verdict"].removeprefix("not offered: ")
    return (
        f'<section class="verdict{" held" if held else ""}"><b>{word}</b>{escape(text[:1].upper() + text[1:])}.'
        + (" <small>An engineer can override this; that is written down.</small>" if held else "")
        + "</section>"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    judged = report["judgement"]
    change = judged["overall"]["span"] if judged else None
    times = report["stages"]
    tiles = [
        (f"{_ap(report['ap50_before'])} &rarr; {_ap(report['ap50_after'])}", "AP50 on held-back frames"),
        (_spanned(change, 100, "+.1f") if change else NONE, "points of change, 95 %"),
        (f"{report['new']['frames']}", f"new frames, {sum(report['new']['boxes'].values())} boxes"),
        (_bytes(report["delta_bytes"]), f"update to nodes, of {_bytes(report['pack_bytes'])}"),
        (f"{times['total_s']:.0f} s", f"in all; training {times['training_s']:.0f} s"),
    ]
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><strong>{value}</strong><span>{what}</span></div>' for value, what in tiles
    ) + "</div>"  # fmt: skip


def _gates(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        (
            escape(str(r["gate"]).replace("_", " ").capitalize()),
            f'<span class="{escape(r["outcome"])}">{OUTCOMES[r["outcome"]]}</span>',
            NONE if r["value"] is None else number(r["value"]), number(r["limit"]), escape(r["unit"]),
            escape(r["reason"]),
        )
        for r in rows
    ]  # fmt: skip
    table = _table(("Gate", "", "Value", "Limit", "Unit", "Why"), cells, numbers=(2, 3))
    return f"<section><h2>Gates</h2>{table}</section>"


def _changes(report: Mapping[str, Any]) -> str:
    judged = report["judgement"]
    if not judged:
        return (
            "<section><h2>Cameras and classes</h2><p>No held-back frame was answered by a person, so nothing says how "
            "good this pack is. Label frames of every camera: about a fifth of them is held back.</p></section>"
        )
    head = ("", "Frames", "Boxes", "Before", "After", "95 % after", "Change", "95 % of it", "")
    parts = []
    for what, rows in (
        ("Camera", [judged["overall"] | {"name": "all"}, *judged["cameras"]]), ("Class", judged["classes"]),
    ):  # fmt: skip
        cells = [_row(r) for r in sorted(rows, key=lambda r: (r["name"] != "all", r["change"] or 0.0))]
        parts.append(f"<h3>By {what.lower()}</h3>" + _table((what, *head[1:]), cells, numbers=range(1, 8)))
    about = (
        "AP50 on the same held-back frames with both packs; intervals by a bootstrap over frames, none where there are "
        "too few. Cameras are judged by the classes that both packs know."
    )
    key = legend([Line("before", (), "before"), Line("after, with its interval", (), "after")])
    return (
        f'<section class="long"><h2>Cameras and classes</h2><p class="mute">{about}</p>{"".join(parts)}{key}</section>'
    )


def _row(change: Mapping[str, Any]) -> tuple[str, ...]:
    after = change["after_span"]
    low, high = after if after else (None, None)
    tag = " <small>new</small>" if change["new"] else ""
    return (
        escape(change["name"]) + tag, str(change["frames"]), str(change["boxes"]), _ap(change["before"]),
        _ap(change["after"]), _spanned(after, 1, ".2f"), _points(change["change"]),
        _spanned(change["span"], 100, "+.1f"), span(change["before"], change["after"], low, high),
    )  # fmt: skip


def _figure(title: str, picture: str, lines: Sequence[Line]) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{picture}{legend(lines) if len(lines) > 1 else ''}</figure>"
    )


def _curves(report: Mapping[str, Any]) -> str:
    found = [_precision(report), _loss(report["history"]), _calibration(report), _rounds(report)]
    shown = "".join(part for part in found if part)
    return f'<section><h2>Curves</h2><div class="plots">{shown}</div></section>' if shown else ""


def _precision(report: Mapping[str, Any]) -> str:
    judged = report["judgement"]
    if not judged:
        return ""
    lines = [
        Line(side, list(zip(c["recall"], c["precision"], strict=True)), side)
        for side in ("before", "after")
        if (c := judged[f"curve_{side}"])["recall"]
    ]
    title = "Precision over recall, all classes"
    return _figure(title, plot(title, Axis("recall", 0, 1), Axis("precision", 0, 1), lines), lines)


def _loss(history: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        Line(name, points, f"line{i}")
        for i, (part, name) in enumerate(PARTS)
        if (points := [(r["step"], r[part]) for r in history if r.get(part)])
    ]
    values = [v for line in lines for _, v in line.points if v > 0]
    if not values:
        return ""
    y = Axis("loss", min(values) * 0.9, max(values) * 1.1, log=True)
    x = Axis("step", 0, max(p[0] for line in lines for p in line.points))
    return _figure("Training loss", plot("Training loss", x, y, lines), lines)


def _calibration(report: Mapping[str, Any]) -> str:
    judged = report["judgement"]
    found = judged["calibration"] if judged else None
    if not found:
        return ""
    lines = [
        Line(f"{side} (error {found[side]:.3f})", [(s, r) for s, r, _ in found[f"bins_{side}"]], side, dots=True)
        for side in ("before", "after")
    ]
    title = "Score, and share that is right"
    return _figure(title, plot(title, Axis("score", 0, 1), Axis("right", 0, 1), lines, diagonal=True), lines)


def _rounds(report: Mapping[str, Any]) -> str:
    values = [r["ap50"] for r in report["lineage"] if r["ap50"] is not None]
    values += [report["ap50_after"]] if report["ap50_after"] is not None else []
    if len(values) < 2:
        return ""
    lines = [Line("AP50", list(enumerate(values, 1)), "after", dots=True)]
    title = "AP50 over the rounds that led here"
    return _figure(title, plot(title, Axis("round", 1, len(values), whole=True), Axis("AP50", 0, 1), lines), lines)


def _tags(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    shown = [
        (escape(r["name"]), str(r["present"]), str(r["absent"]), str(r["judged"]), _ap(r["before"]), _ap(r["after"]))
        for r in rows
    ]
    head = ("Tag", "Present", "Absent", "Judged on", "AP before", "AP after")
    note = "Present and absent: what people said of frames to learn from. AP where held-back frames have both answers."
    return f"<section><h2>Tags</h2>{_table(head, shown, note, numbers=(1, 2, 3, 4, 5))}</section>"


def _new(report: Mapping[str, Any]) -> str:
    new = report["new"]
    boxes = _table(("Class", "Boxes"), [(escape(k), str(v)) for k, v in new["boxes"].items()], numbers=(1,))
    cameras = _table(("Camera", "Frames"), [(escape(k), str(v)) for k, v in new["cameras"].items()], numbers=(1,))
    rows = [
        (escape(c["kind"]), str(c["answers"]), f"{c['seconds']:.0f}",
         f"{c['seconds'] / timed:.1f}" if (timed := c["answers"] - c["untimed"]) else NONE, str(c["untimed"]))
        for c in report["cost"]
    ]  # fmt: skip
    total = sum(c["seconds"] for c in report["cost"])
    head = ("Work of people", "Answers", "Seconds", "Each", "Not timed")
    cost = _table(head, rows, numbers=(1, 2, 3, 4)) if rows else '<p class="mute">Nobody answered them by hand.</p>'
    machine = f", {new['by_machine']} of them labelled by a machine alone" if new["by_machine"] else ""
    known = (
        f"{new['frames']} frames since the pack before{machine}; {report['replayed']} of {new['past_frames']} earlier "
        f"ones were repeated, and {report['guessed']} boxes are what the pack before saw. {new['held_back']} frames "
        f"are held back for judging. Labels cost {total:.0f} seconds of people."
    )
    return (
        f'<section><h2>What was new</h2><p>{known}</p><div class="two"><div>{boxes}</div><div>{cameras}</div></div>'
        f"<h3>What the labels cost</h3>{cost}</section>"
    )


def _incremental(report: Mapping[str, Any]) -> str:
    found = report["incremental"]
    if not found:
        return ""
    rows = [
        (f"AP50 of {what} classes", _ap(pair["before"]), _ap(pair["after"]))
        for what, pair in (("old", found["old_classes"]), ("new", found["new_classes"]))
        if pair
    ]
    parts = [_table(("", "Before", "After"), rows, numbers=(1, 2))] if rows else []
    over = [
        (f"over {kind}", str(f["rounds"]), _points(-f["forgetting"]), _points(f["backward_transfer"]))
        for kind in ("cameras", "classes")
        if (f := found[kind])
    ]
    if over:
        head = ("Since the first round", "Rounds", "Forgetting", "Backward transfer")
        note = "In points of AP50, on what each round brought: forgetting is what is lost of the best there ever was."
        parts.append("<h3>Over rounds</h3>" + _table(head, over, note, numbers=(1, 2, 3)))
    else:
        parts.append('<p class="mute">Forgetting and backward transfer need an earlier round of this pack.</p>')
    return f"<section><h2>Old and new</h2>{''.join(parts)}</section>"


def _stages(report: Mapping[str, Any]) -> str:
    times = report["stages"]
    total = max(times["total_s"], 1e-9)
    rows = [
        (name, f"{times[key]:.1f}", f"{100 * times[key] / total:.0f} %", bar(min(1.0, times[key] / total)))
        for key, name in STAGES.items()
        if key in times
    ]
    return (
        f"<section><h2>Stages</h2>{_table(('Stage', 'Seconds', 'Share', ''), rows, numbers=(1, 2))}"
        f'<p class="mute">{total:.1f} s in all; {100 * report["overhead"]:.0f} % of it is not training.</p></section>'
    )


def _alike(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how like the training frames of each pack were to the new ones."""
    said = [f"{'?' if r['likeness'] is None else format(r['likeness'], '.2f')} {r['reason']}" for r in rows]
    return "<br>".join(escape(text) for text in said)


def _how(report: Mapping[str, Any]) -> str:
    memory = "everything" if report["memory_frames"] is None else f"at most {report['memory_frames']} frames"
    former = [f"{now} (before: {old})" for now, old in report["new"]["former"].items()]
    timing = report["timing"]
    pairs = [
        (
            "Strategy",
            escape(f"{report['strategy']}, a memory of {memory}, {report['steps']} steps, seed {report['seed']}"),
        ),
        ("Started from", escape(f"{report['started_from']}: {report['start']['how']}")),
        *([("Alike", _alike(report["similarity"]))] if report["similarity"] else []),
        ("What learned", escape(report["update"])),
        ("Classes", escape(", ".join(report["labels"]))),
        *([("Renamed", escape(", ".join(former)))] if former else []),
        *([("New classes", escape(", ".join(report["new"]["classes"])))] if report["new"]["classes"] else []),
        *(
            [("Latency here", f"{timing['before_ms']:.1f} ms before, {timing['after_ms']:.1f} ms after")]
            if timing
            else []
        ),
        ("Snapshot", f"<code>{escape(report['snapshot'])}</code>"),
        ("Pack", f"<code>{escape(report['pack'])}</code>"),
        ("Pack before", f"<code>{escape(report['parent'])}</code>"),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)
    notes = "".join(f"<li>{escape(note)}</li>" for note in report["notes"])
    told = f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""
    return f"<section><h2>How it was made</h2><dl>{listed}</dl>{told}</section>"
