"""Places that are told of changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlalchemy import select

from central.api import schemas as s
from central.api.access import Admin
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.api.webhooks import HookError, TooManyError, add
from central.store.models import Webhook

router = APIRouter(prefix="/webhooks", tags=["people"])


def _view(row: Webhook) -> dict[str, Any]:
    names = ("id", "url", "kinds", "by", "created", "told_at", "outcome")
    return {name: getattr(row, name) for name in names}


@router.get("", responses=documented(401, 403))
async def webhooks(_: Admin, centre: CentreDep) -> list[s.WebhookView]:
    """All of them, and how the last call went."""
    async with centre.database.read() as session:
        return [s.WebhookView(**_view(row)) for row in await session.scalars(select(Webhook).order_by(Webhook.id))]


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def add_webhook(body: s.WebhookBody, person: Admin, centre: CentreDep) -> s.WebhookCreated:
    """Tell a place of changes from now on. The secret that signs what it is sent is shown this once."""
    try:
        async with centre.database.write() as session:
            row = await add(session, body.url, body.kinds, person.name, centre.settings.webhook_hosts)
            return s.WebhookCreated(**_view(row), secret=row.secret)
    except TooManyError as error:
        raise ApiError(409, "too_many", str(error)) from None
    except HookError as error:
        raise ApiError(422, "host_not_allowed", str(error)) from None


@router.delete("/{number}", status_code=204, responses=documented(401, 403, 404))
async def delete_webhook(number: Annotated[int, Path(ge=1, le=2**31)], _: Admin, centre: CentreDep) -> None:
    """Tell it no more."""
    async with centre.database.write() as session:
        row = await session.get(Webhook, number)
        if row is None:
            raise not_found(f"webhook {number}")
        await session.delete(row)
