"""What a project labels."""

from __future__ import annotations

from pydantic import Field

from central.api.schemas.base import View


class LabelView(View):
    """A class that may be labelled."""

    name: str
    color: str = Field(examples=["#e4572e"], pattern=r"^#[0-9a-fA-F]{6}$")
    key: str = Field(examples=["1"], max_length=1)


class TagView(View):
    """An image-level label: present, absent or unknown."""

    name: str
    group: str = ""
    title: str = ""


class ProfileView(View):
    """What a project labels."""

    name: str
    labels: list[LabelView]
    tags: list[TagView]
