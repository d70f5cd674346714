"""People, programs, what they did, and who is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, get_args

from pydantic import Field

from central.api.schemas.base import Body, EventKind, Role, View
from protocols.messages import IDENTITY

MAX_URL: Final = 500
UserName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$")]
Sites = Annotated[
    dict[Annotated[str, Field(pattern=IDENTITY)], Role],
    Field(max_length=1000, description="Sites where the role is another one than everywhere."),
]


class UserView(View):
    """Somebody who may log in."""

    name: str
    role: Role
    sites: dict[str, Role]
    disabled: bool
    created: datetime


class UserBody(Body):
    """Somebody new. They get a password that is shown once, and choose their own."""

    name: UserName
    role: Role = "annotator"
    sites: Sites = Field({})


class UserCreated(UserView):
    """Somebody new, and their first password, shown this once."""

    password: str


class UserChange(Body):
    """What is to be different; what is left out stays."""

    role: Role | None = None
    sites: Sites | None = None
    disabled: bool | None = None


class TokenBody(Body):
    """A way in for a program that acts for the person who asks."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="What it is for.")]
    role: Role = Field("annotator", description="The most that it may do.")
    days: Annotated[int, Field(ge=1, le=730)] = 90


class TokenView(View):
    """A program's way in."""

    id: int
    name: str
    user: str
    role: Role
    created: datetime
    expires: datetime


class TokenCreated(TokenView):
    """A new one, shown this once: ``Authorization: Bearer TOKEN``."""

    token: str


class AuditView(View):
    """Something that somebody changed, or tried to."""

    id: int
    at: datetime
    by: str = Field(description="Empty where nobody was logged in.")
    action: str
    target: str
    status: int
    address: str


class AuditPage(View):
    """Newest first; `next` is the cursor of the page after it."""

    items: list[AuditView]
    next: str | None


class WebhookBody(Body):
    """A place to tell. Its host must be one that the settings allow."""

    url: Annotated[str, Field(min_length=8, max_length=MAX_URL, pattern=r"^https?://")]
    kinds: Annotated[list[EventKind], Field(min_length=1, max_length=len(get_args(EventKind)))]


class WebhookView(View):
    """A place that is told."""

    id: int
    url: str
    kinds: list[EventKind]
    by: str
    created: datetime
    told_at: datetime | None
    outcome: str = Field(description="Of the last call, in words.")


class WebhookCreated(WebhookView):
    """A new one, and the secret that signs what it is sent (HMAC-SHA256 of the body, hex), shown this once."""

    secret: str
