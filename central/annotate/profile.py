"""What a project labels: one YAML file with labels, their colours and keys, and tags.

Two ship in ``central/profiles``; any other is given by path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.messages import MAX_LABEL

SHIPPED: Final = Path(__file__).parent.parent / "profiles"
MAX_FILE: Final = 256 * 1024
"""Bytes of a profile; one with a thousand labels has 60 KB."""

Name = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]


class ProfileError(ValueError):
    """A profile that is missing or wrong. The text says which, where, and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileLabel(_Part):
    """A class that may be labelled."""

    name: Name
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", description="For the UI.")]
    key: Annotated[str, Field(max_length=1, description="The key that chooses it in the UI.")] = ""


class ProfileTag(_Part):
    """An image-level label: present, absent or unknown."""

    name: Name
    group: Annotated[str, Field(max_length=MAX_LABEL)] = ""
    title: Annotated[str, Field(max_length=200)] = ""


class Profile(_Part):
    """What a project labels. Names and keys are unique."""

    name: Name
    labels: Annotated[tuple[ProfileLabel, ...], Field(min_length=1, max_length=1000)]
    tags: Annotated[tuple[ProfileTag, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, values in (
            ("label", [label.name for label in self.labels]),
            ("key", [label.key for label in self.labels if label.key]),
            ("tag", [tag.name for tag in self.tags]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{what} {twice!r} is there twice")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return tuple(label.name for label in self.labels)


def _path(name: str) -> Path:
    shipped = SHIPPED / f"{name}.yaml"
    if "/" not in name and shipped.is_file():
        return shipped
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise ProfileError(f"profile {name}: no such profile; give one of {known}, or the path of a YAML file")
    return path


def load(name: str) -> Profile:
    """Return the profile that ships as `name`, or lies at the path `name`. Raises ProfileError."""
    path = _path(name)
    if path.stat().st_size > MAX_FILE:
        raise ProfileError(f"{path}: more than {MAX_FILE} bytes; is it a profile?")
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "profile"
        raise ProfileError(f"{path}: {where}: {str(first['msg']).removeprefix('Value error, ')}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise ProfileError(f"{path}: not YAML{line}; see {SHIPPED / 'street.yaml'} for the form") from None
