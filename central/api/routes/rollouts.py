"""Releases on their way through the fleet, in waves.

A decision names the revision of the rollout that it was made on, in the body or as ``If-Match``; where somebody was
faster the answer is 409, with the rollout as it is now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from central.api import rollouts as views
from central.api import schemas as s
from central.api.access import Engineer, Person, Viewer
from central.api.context import Centre, CentreDep
from central.api.errors import ApiError, documented, not_found
from central.releases import held
from central.releases.rollout import BusyError, RolloutError, StaleError, actions, effect
from central.store.models import Pack, Rollout

router = APIRouter(prefix="/rollouts", tags=["rollouts"])
RolloutId = Annotated[int, Path(ge=1, le=2**31)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description='Revision that was seen, as ``"3"``.')]


async def _whole(centre: Centre, number: int, response: Response) -> s.RolloutView:
    async with centre.database.read() as session:
        if await session.get(Rollout, number) is None:
            raise not_found(f"rollout {number}")
        view = await views.whole(session, number)
    response.headers["ETag"] = f'"{view.revision}"'
    return view


def _revision(body: s.RolloutChangeBody, if_match: str | None) -> int:
    """Return the revision that a decision was made on. Raises ApiError where it names none."""
    if body.revision is not None:
        return body.revision
    text = (if_match or "").strip().removeprefix("W/").strip('"')
    if not text.isdigit():
        message = "say which revision you saw: revision in the body, or the ETag as If-Match"
        raise ApiError(428, "revision_required", message)
    return int(text)


@router.get("", responses=documented(401))
async def rollouts(
    _: Viewer, centre: CentreDep, limit: Annotated[int, Query(ge=1, le=s.MAX_PAGE)] = 50
) -> list[s.RolloutSummary]:
    """The last rollouts, newest first."""
    async with centre.database.read() as session:
        return await views.listing(session, limit)


@router.post("", status_code=201, responses=documented(401, 403, 404, 409, 422))
async def plan_rollout(body: s.RolloutBody, person: Engineer, centre: CentreDep, response: Response) -> s.RolloutView:
    """Plan a rollout; with `start`, begin it. Nobody is offered anything before it is started."""
    async with centre.database.read() as session:
        known = await session.get(Pack, body.pack)
    if known is None:
        raise not_found(f"pack {body.pack[:12]}")
    try:
        held.check(known)
    except held.HeldError as error:
        raise ApiError(409, "held", str(error), {"held": known.held}) from None
    try:
        number = await actions.create(centre.database, body.pack, body.plan, person.name, body.notes)
        if body.start:
            await actions.start(centre.database, number, None, person.name)
    except BusyError as error:
        raise ApiError(409, "busy", str(error)) from None
    except RolloutError as error:
        raise ApiError(422, "bad_plan", str(error)) from None
    centre.notifier.emit("release")
    return await _whole(centre, number, response)


@router.post("/preview", responses=documented(401, 403, 422))
async def preview_rollout(body: s.PlanPreviewBody, _: Engineer, centre: CentreDep) -> list[s.PlanWaveView]:
    """The waves that a plan would make of the nodes that there are now; who is in which is drawn anew each time."""
    try:
        return views.planned(await actions.preview(centre.database, body.plan))
    except RolloutError as error:
        raise ApiError(422, "bad_plan", str(error)) from None


@router.get("/{number}", responses=documented(401, 404))
async def rollout(_: Viewer, centre: CentreDep, number: RolloutId, response: Response) -> s.RolloutView:
    """A rollout with its waves, nodes, gates and history. The ETag is its revision."""
    return await _whole(centre, number, response)


@router.get("/{number}/effect", responses=documented(401, 404))
async def rollout_effect(
    _: Viewer, centre: CentreDep, number: RolloutId, wave: Annotated[int | None, Query(ge=0, le=100_000)] = None
) -> s.EffectView:
    """How the nodes fared before, and with the new pack: of one wave, counted from 0, or of all."""
    async with centre.database.read() as session:
        if await session.get(Rollout, number) is None:
            raise not_found(f"rollout {number}")
        row = await actions.load(session, number)
        return views.effect(await effect.of_nodes(session, row, wave))


async def _change(centre: Centre, number: int, response: Response, act: Callable[[], Awaitable[None]]) -> s.RolloutView:
    """Do `act` and return the rollout as it is then. Raises ApiError."""
    async with centre.database.read() as session:
        if await session.get(Rollout, number) is None:
            raise not_found(f"rollout {number}")
    try:
        await act()
    except StaleError as error:
        now = await _whole(centre, number, response)
        raise ApiError(409, "conflict", str(error), now.model_dump(mode="json")) from None
    except BusyError as error:
        raise ApiError(409, "busy", str(error)) from None
    except RolloutError as error:
        now = await _whole(centre, number, response)
        raise ApiError(409, "wrong_state", str(error), now.model_dump(mode="json")) from None
    centre.notifier.emit("release")
    return await _whole(centre, number, response)


def _act(
    action: Any, centre: Centre, number: int, body: s.RolloutChangeBody, if_match: str | None, person: Person
) -> Callable[[], Awaitable[None]]:
    revision = _revision(body, if_match)

    async def act() -> None:
        more = {"gates": body.gates} if body.gates else {}
        await action(centre.database, number, revision, person.name, body.reason, **more)

    return act


def _only_for_resume(body: s.RolloutChangeBody) -> None:
    if body.gates:
        raise ApiError(422, "invalid", "gates: only resume takes them")


_ANSWERS = documented(401, 403, 404, 409, 422, 428)


@router.post("/{number}/start", responses=_ANSWERS)
async def start_rollout(
    body: s.RolloutChangeBody, person: Engineer, centre: CentreDep, number: RolloutId, response: Response,
    if_match: IfMatch = None,
) -> s.RolloutView:  # fmt: skip
    """Begin with the first wave."""
    _only_for_resume(body)
    return await _change(centre, number, response, _act(actions.start, centre, number, body, if_match, person))


@router.post("/{number}/pause", responses=_ANSWERS)
async def pause_rollout(
    body: s.RolloutChangeBody, person: Engineer, centre: CentreDep, number: RolloutId, response: Response,
    if_match: IfMatch = None,
) -> s.RolloutView:  # fmt: skip
    """Offer it to nobody else for now."""
    _only_for_resume(body)
    return await _change(centre, number, response, _act(actions.pause, centre, number, body, if_match, person))


@router.post("/{number}/resume", responses=_ANSWERS)
async def resume_rollout(
    body: s.RolloutChangeBody, person: Engineer, centre: CentreDep, number: RolloutId, response: Response,
    if_match: IfMatch = None,
) -> s.RolloutView:  # fmt: skip
    """Go on; after a halt the failures so far are forgiven."""
    return await _change(centre, number, response, _act(actions.resume, centre, number, body, if_match, person))


@router.post("/{number}/abort", responses=_ANSWERS)
async def abort_rollout(
    body: s.RolloutChangeBody, person: Engineer, centre: CentreDep, number: RolloutId, response: Response,
    if_match: IfMatch = None,
) -> s.RolloutView:  # fmt: skip
    """Stop offering it, for good; nodes that run it go on running it."""
    _only_for_resume(body)
    return await _change(centre, number, response, _act(actions.abort, centre, number, body, if_match, person))


@router.post("/{number}/rollback", responses=_ANSWERS)
async def rollback_rollout(
    body: s.RolloutChangeBody, person: Engineer, centre: CentreDep, number: RolloutId, response: Response,
    if_match: IfMatch = None,
) -> s.RolloutView:  # fmt: skip
    """Take every node that got it back to the pack that it had."""
    _only_for_resume(body)
    return await _change(centre, number, response, _act(actions.rollback, centre, number, body, if_match, person))
