"""Releases, and how far each node is with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from central.api.schemas.base import Body, View
from protocols.messages import MAX_TEXT, SHA256_HEX


class ReleaseBody(Body):
    """A pack to offer to every node."""

    pack: Annotated[str, Field(pattern=SHA256_HEX)]
    notes: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class ReleaseNodeView(View):
    """How far one node is with a release."""

    node: str
    step: str
    progress: float = 0.0
    reason: str = ""
    at: datetime | None = None


class ReleaseView(View):
    """A pack offered to nodes."""

    number: int
    pack: str
    name: str
    at: datetime
    by: str
    notes: str = ""
    rollout: int | None = Field(None, description="The rollout that it belongs to: then only its waves are offered it.")
    nodes: list[ReleaseNodeView] = Field([])
