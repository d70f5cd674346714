"""What the bodies of every subject are made of: limits, types, requests, answers and errors."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from protocols.messages import MAX_LABEL

MAX_PAGE: Final = 200
"""Items of one page."""

Role = Literal["viewer", "annotator", "engineer", "admin"]
EventKind = Literal["node", "frame", "round", "release", "update", "label", "job"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""Each contains those before it."""
LabelName = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
Pixel = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
BoxPixels = tuple[Pixel, Pixel, Pixel, Pixel]


class Body(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class ErrorInfo(View):
    """What went wrong: a code for programs, a sentence for people, and more where there is more to say."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["no frame 0190...; it may have been removed"])
    detail: Any = None


class ErrorView(View):
    """The body of every answer with a status of 400 or more."""

    error: ErrorInfo
