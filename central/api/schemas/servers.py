"""The servers of a centre."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from central.api.schemas.base import View

__all__ = ["DutyView", "ServerView", "ServersView"]


class DutyView(View):
    """Background work that one server does for all."""

    name: str
    since: datetime
    fence: int = Field(description="How often it changed hands.")


class ServerView(View):
    """One server, as the one that was asked sees it."""

    id: str
    name: str
    version: str
    state: Literal["serving", "draining", "gone"]
    started: datetime
    seen: datetime = Field(description="When it last showed that it lives, by its own clock.")
    asked: bool = Field(description="Whether it is the one that answers now.")
    duties: list[DutyView]


class ServersView(View):
    """Every server of this centre."""

    several: bool = Field(description="Whether there may be others: the database was given by URL.")
    items: list[ServerView]
    free: list[str] = Field(description="Duties that nobody has at this moment.")
