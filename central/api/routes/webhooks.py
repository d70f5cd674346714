"""Places that are told of changes."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from sqlalchemy import func, select

from central.api import schemas as s
from central.api.access import Admin
from central.api.context import CentreDep
from central.api.errors import ApiError, documented, not_found
from central.api.webhooks import HookError, check
from central.store.models import Webhook

router = APIRouter(prefix="/webhooks", tags=["people"])
MOST: Final = 50


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
        url = check(body.url, centre.settings.webhook_hosts)
    except HookError as error:
        raise ApiError(422, "host_not_allowed", str(error)) from None
    secret = secrets.token_urlsafe(32)
    async with centre.database.write() as session:
        count = await session.scalar(select(func.count()).select_from(Webhook)) or 0
        if count >= MOST:
            raise ApiError(409, "too_many", f"there are {count} webhooks; delete one first")
        row = Webhook(url=url, kinds=list(dict.fromkeys(body.kinds)), secret=secret, by=person.name)
        session.add(row)
        await session.flush()
        return s.WebhookCreated(**_view(row), secret=secret)


@router.delete("/{number}", status_code=204, responses=documented(401, 403, 404))
async def delete_webhook(number: Annotated[int, Path(ge=1, le=2**31)], _: Admin, centre: CentreDep) -> None:
    """Tell it no more."""
    async with centre.database.write() as session:
        row = await session.get(Webhook, number)
        if row is None:
            raise not_found(f"webhook {number}")
        await session.delete(row)
