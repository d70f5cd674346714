"""``rollout``: a release through the fleet in waves. The commands change the tables; a centre that runs goes on from
there within seconds, and another one does when it starts."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from central.api import schemas as s
from central.commands.common import CommandError, Data, Json, load, plain_errors, result, say, store
from central.commands.fleet import address
from central.releases.rollout import ENDED, RolloutError, actions, plan
from central.settings import Settings
from central.store.database import Database
from protocols.pack import PackError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Take a release through the fleet in waves.")

LOOK_S: Final = 2.0
"""Between looks with --wait."""
GOOD: Final = ("planned", "running", "paused", "rolling_back", "done")
"""States that are no bad news."""

Number = Annotated[int, typer.Argument(min=1, help="Number of the rollout.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]
Revision = Annotated[int | None, typer.Option(min=1, help="Only if it is still at this revision.")]
PlanFile = Annotated[Path | None, typer.Option("--plan", help="YAML or JSON file with the plan.", dir_okay=False)]
Waves = Annotated[str | None, typer.Option(help="Nodes in all after each wave: 1,10%,50%")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="NAME=site:S,tag:T,node:N; more than one, in order.")]
Rest = Annotated[bool, typer.Option("--rest", help="After the groups all other nodes.")]
Soak = Annotated[float | None, typer.Option(min=0, help="Seconds that each wave is watched.")]
Deadline = Annotated[float | None, typer.Option(min=1, help="Seconds after which silence is a failure.")]
Gates = Annotated[list[str] | None, typer.Option("--gate", help="NAME=LIMIT, NAME=required or NAME=off; repeatable.")]
Hold = Annotated[bool, typer.Option("--hold", help="After a halt wait for a person instead of going back.")]


def _me() -> str:
    return getpass.getuser()[:64]


def _group(text: str) -> dict[str, Any]:
    """Return the group that ``NAME=site:S,tag:T,node:N`` describes. Raises CommandError."""
    name, _, members = text.partition("=")
    found: dict[str, Any] = {"name": name, "sites": [], "tags": [], "nodes": []}
    for part in members.split(","):
        kind, _, value = part.partition(":")
        if f"{kind}s" not in found or not value:
            raise CommandError(f"--group {text}: write NAME=site:S,tag:T,node:N")
        found[f"{kind}s"].append(value)
    return found


def gate(text: str) -> tuple[str, dict[str, Any]]:
    """Return the gate that `text` names, and its setting: a limit, ``required`` or ``off``. Raises CommandError."""
    name, _, value = text.partition("=")
    if value in ("off", "required"):
        return name, {"on": False} if value == "off" else {"required": True}
    try:
        return name, {"limit": float(value)}
    except ValueError:
        raise CommandError(f"--gate {text}: write NAME=LIMIT, NAME=required or NAME=off") from None


def gate_settings(texts: list[str] | None) -> dict[str, dict[str, Any]]:
    """Return the settings of every gate named in `texts`. Raises CommandError."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts or []:
        name, settings = gate(text)
        found[name] = {**found.get(name, {}), **settings}
    return found


def _wave(text: str) -> int | str:
    if text.endswith("%"):
        return text
    if not text.isdigit():
        raise CommandError(f"--waves: {text!r} is neither a number of nodes nor a percentage; write 1,10%,50%")
    return int(text)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: not YAML or JSON: {error}") from None
    if not isinstance(found, dict):
        raise CommandError(f"{file}: a plan is a mapping; see the engineers' page")
    return found


def raw_plan(
    file: Path | None, waves: str | None, groups: list[str] | None, rest: bool, soak: float | None,
    deadline: float | None, gates: list[str] | None, hold: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the plan in `file`, with what the other options say in its place. Raises CommandError, OSError."""
    found = _read(file) if file is not None else {}
    given: dict[str, Any] = {
        "waves": [_wave(part.strip()) for part in waves.split(",")] if waves else None,
        "groups": [_group(text) for text in groups] if groups else None,
        "rest": True if rest else None, "soak_s": soak, "deadline_s": deadline,
        "on_halt": "hold" if hold else None,
    }  # fmt: skip
    found |= {name: value for name, value in given.items() if value is not None}
    if gates:
        found["gates"] = {**found.get("gates", {}), **gate_settings(gates)}
    return found


def _words(view: s.RolloutView) -> str:
    """Return a rollout as people read it."""
    lines = [
        f"rollout {view.id}: {view.name} ({view.pack[:12]}), {view.state.replace('_', ' ')}, revision {view.revision}"
        + (f": {view.reason}" if view.reason else "")
    ]
    for wave in view.all_waves:
        counts = f"{wave.nodes} nodes, {wave.healthy} run it, {wave.failed} failed" + (
            f", {wave.away} away" * bool(wave.away)
        )
        lines.append(f"  wave {wave.number + 1} {wave.state:<8} {wave.group:<12} {counts}")
        if wave.state in ("open", "failed"):
            lines += [f"    {g.outcome.replace('_', ' '):<10} {g.gate:<12} {g.reason}" for g in wave.gates]
    bad = [n for n in view.all_nodes if n.reason and n.stage in ("failed", "stuck", "away", "returning", "returned")]
    lines += [f"  {n.node:<24} {n.stage:<9} {n.reason}" for n in bad[:20]]
    return "\n".join(lines)


def _run(work: Callable[[Database, Settings], Awaitable[Any]], data: Path | None) -> Any:
    """Return what `work` returns, which gets the store; what users can cause ends the command with one line."""

    async def opened(settings: Settings) -> Any:
        async with store(settings) as database:
            return await work(database, settings)

    with plain_errors(RolloutError, PackError):
        return asyncio.run(opened(load(data=data)))


async def _view(database: Database, number: int) -> s.RolloutView:
    from central.api import rollouts as views

    async with database.read() as session:
        return await views.whole(session, number)


@app.command("plan")
def plan_(
    pack: Annotated[str, typer.Argument(help="A registered pack's address or name, a folder, a .wpack file, or base.")],
    file: PlanFile = None, waves: Waves = None, group: Groups = None, rest: Rest = False, soak: Soak = None,
    deadline: Deadline = None, gates: Gates = None, hold: Hold = False,
    notes: Annotated[str, typer.Option(help="What others should know.")] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only show the waves; keep nothing.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Plan a rollout and show its waves. Nobody is offered anything before it is started.

    Example: wayside-central rollout plan street-7 --group canary=site:lab --rest --waves 1,10%,50% --gate latency=1.2
    """

    from central.api import rollouts as views

    async def work(database: Database, settings: Settings) -> dict[str, Any]:
        raw = raw_plan(file, waves, group, rest, soak, deadline, gates, hold)
        if dry:
            made = views.planned(await actions.preview(database, raw))
            return {"rollout": None, "waves": [w.model_dump(mode="json") for w in made]}
        number = await actions.create(database, await address(database, settings, pack), raw, _me(), notes)
        view = await _view(database, number)
        by_wave: dict[int, list[str]] = {}
        for node in view.all_nodes:
            by_wave.setdefault(node.wave, []).append(node.node)
        found = [plan.Wave(w.group, tuple(by_wave.get(w.number, ()))) for w in view.all_waves]
        return {"rollout": number, "waves": [w.model_dump(mode="json") for w in views.planned(found)]}

    done = _run(work, data)
    lines = [f"wave {i + 1:<3} {w['group']:<12} {w['total']:>6} in all: {', '.join(w['nodes'][:8])}"
             + (" ..." if len(w["nodes"]) > 8 else "") for i, w in enumerate(done["waves"])]  # fmt: skip
    head = f"rollout {done['rollout']} is planned; start it with 'rollout start {done['rollout']}'"
    result(done, as_json, "\n".join([*lines, *([] if dry else [head])]))


@app.command()
def start(
    what: Annotated[str, typer.Argument(help="Number of a planned rollout, or a pack to plan and start at once.")],
    file: PlanFile = None, waves: Waves = None, group: Groups = None, rest: Rest = False, soak: Soak = None,
    deadline: Deadline = None, gates: Gates = None, hold: Hold = False, reason: Reason = "",
    revision: Revision = None, data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Start a planned rollout, or plan one of a pack and start it.

    Example: wayside-central rollout start street-7 --waves 1,10%,50% --soak 1800
    """

    async def work(database: Database, settings: Settings) -> s.RolloutView:
        raw = raw_plan(file, waves, group, rest, soak, deadline, gates, hold)
        if what.isdigit() and len(what) < 8:
            if raw:
                raise CommandError("a planned rollout has its plan; give a pack to make another one")
            number = int(what)
        else:
            number = await actions.create(database, await address(database, settings, what), raw, _me(), reason)
        await actions.start(database, number, revision, _me(), reason)
        return await _view(database, number)

    view = _run(work, data)
    result(view, as_json, _words(view))


@app.command()
def status(
    number: Annotated[
        int | None, typer.Argument(min=1, help="Number of the rollout; all of them where absent.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended, or halted and waits for a person.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show rollouts, or one with its waves, gates and nodes. Status 1 where it halted, was aborted or went back.

    Example: wayside-central rollout status 3 --wait
    """
    if number is None:
        _list(data, as_json)
        return
    told = ""
    while True:
        view: s.RolloutView = _run(lambda database, _: _view(database, number), data)
        if not wait or view.state in ENDED or (view.state == "halted" and view.plan.get("on_halt") == "hold"):
            break
        now = f"{view.state.replace('_', ' ')}, wave {view.wave + 1} of {view.waves}: {view.reason}"
        if now != told:
            told = now
            say(now)
        time.sleep(LOOK_S)
    result(view, as_json, _words(view))
    if view.state not in GOOD:
        raise typer.Exit(1)


def _list(data: Path | None, as_json: bool) -> None:
    from central.api import rollouts as views

    async def work(database: Database, _: Settings) -> list[s.RolloutSummary]:
        async with database.read() as session:
            return await views.listing(session, s.MAX_PAGE)

    found = _run(work, data)
    lines = [
        f"{r.id:>4}  {r.state.replace('_', ' '):<12} {r.name or r.pack[:12]:<24} "
        + ", ".join(f"{count} {stage}" for stage, count in r.stages.items())
        for r in found
    ]
    value = {"rollouts": [r.model_dump(mode="json") for r in found]}
    result(value, as_json, "\n".join(lines) or "no rollout yet")


def _kind(event: s.RolloutEventView) -> str:
    return event.to_state.replace("_", " ") if event.kind == "state" else event.kind.replace("_", " ")


@app.command()
def history(number: Number, data: Data = None, as_json: Json = False) -> None:
    """Show who did what with a rollout, when and why.

    Example: wayside-central rollout history 3
    """
    view: s.RolloutView = _run(lambda database, _: _view(database, number), data)
    lines = [f"{e.at:%Y-%m-%d %H:%M:%S}  {e.by:<12} {_kind(e):<12} {e.reason}" for e in view.history]
    value = {"rollout": number, "history": [e.model_dump(mode="json") for e in view.history]}
    result(value, as_json, "\n".join(lines))


@app.command()
def effect(
    number: Number,
    wave: Annotated[int | None, typer.Option(min=1, help="Only this wave, counted from 1.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show how the nodes fared before, and with the new pack.

    Example: wayside-central rollout effect 3 --wave 1
    """
    from central.api import rollouts as views
    from central.releases.rollout import effect as effects

    async def work(database: Database, _: Settings) -> s.EffectView:
        async with database.read() as session:
            row = await actions.load(session, number)
            return views.effect(await effects.of_nodes(session, row, None if wave is None else wave - 1))

    found: s.EffectView = _run(work, data)
    lines = [f"{c.figure:<16} {c.before:>10.3f} -> {c.after:>10.3f}  median of {c.nodes} nodes" for c in found.changes]
    for node in found.nodes:
        shadow = node.shadow or {}
        told = f"agreement {shadow['agreement']:.2f}" if shadow.get("agreement") is not None else "no shadow run"
        lines.append(f"{node.node:<24} wave {node.wave + 1} {node.stage:<9} {told}")
    result(found, as_json, "\n".join(lines) or "nobody was offered it yet")


def _decide(action: Any, number: int, data: Path | None, as_json: bool, *given: Any) -> None:
    async def work(database: Database, _: Settings) -> s.RolloutView:
        await action(database, number, *given)
        return await _view(database, number)

    view = _run(work, data)
    result(view, as_json, _words(view))


@app.command()
def pause(
    number: Number, reason: Reason = "", revision: Revision = None, data: Data = None, as_json: Json = False
) -> None:
    """Offer it to nobody else for now.

    Example: wayside-central rollout pause 3 --reason "wait for the night shift"
    """
    _decide(actions.pause, number, data, as_json, revision, _me(), reason)


@app.command()
def resume(
    number: Number, gates: Gates = None, reason: Reason = "", revision: Revision = None, data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Go on, also after a halt: then the failures so far are forgiven, and --gate sets other limits.

    Example: wayside-central rollout resume 3 --gate agreement=0.4 --reason "it knows two more classes"
    """
    with plain_errors():
        settings = gate_settings(gates)
    _decide(actions.resume, number, data, as_json, revision, _me(), reason, settings)


@app.command()
def abort(
    number: Number, reason: Reason = "", revision: Revision = None, data: Data = None, as_json: Json = False
) -> None:
    """Stop offering it, for good; nodes that run it go on running it.

    Example: wayside-central rollout abort 3 --reason "superseded"
    """
    _decide(actions.abort, number, data, as_json, revision, _me(), reason)


@app.command()
def rollback(
    number: Number, reason: Reason = "", revision: Revision = None, data: Data = None, as_json: Json = False
) -> None:
    """Take every node that got it back to the pack that it had, by a new signed release.

    Example: wayside-central rollout rollback 3 --reason "misses bicycles at night"
    """
    _decide(actions.rollback, number, data, as_json, revision, _me(), reason)
