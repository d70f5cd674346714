"""What a project labels: one YAML file with labels, their colours and keys, tags, questions, sources and redaction.

Two ship in ``central/profiles``; any other is given by path. One that was edited through the API lies in the data
folder (`central.annotate.editing` puts it there) and counts in place of the one that it began as.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from central.annotate import yamls
from central.annotate.yamls import YamlError
from central.settings import Settings
from protocols.files import write_atomic
from protocols.messages import MAX_LABEL

SHIPPED: Final = Path(__file__).parent.parent / "profiles"
MAX_FILE: Final = 256 * 1024
"""Bytes of a profile; one with a thousand labels has 60 KB."""

EDITED: Final = "profile.yaml"
"""In the data folder: the profile as it was edited."""
SALT: Final = "salt"
"""In the data folder: what hashes of identities are salted with."""
SALT_BYTES: Final = 32

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
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


class ProfileQuestion(_Part):
    """Something that people are asked, in the project's own words."""

    name: Name
    kind: Annotated[Literal["boxes", "tags", "pair", "complete"], Field(description="What answers it.")]
    text: Annotated[str, Field(min_length=1, max_length=500)]


class ProfileSource(_Part):
    """Where the project's images come from."""

    kind: Literal["camera", "images", "dicom"]
    window: Annotated[str, Field(max_length=64, description="dicom: CENTRE,WIDTH in place of what files say.")] = ""
    note: Annotated[str, Field(max_length=500)] = ""


class ProfileQueue(_Part):
    """In which order frames are asked about."""

    strategy: Annotated[
        str, Field(pattern=r"^[a-z0-9_-]{1,64}$", description="A strategy of acquisition, or none: as nodes valued.")
    ] = "ours"


class ProfileProposer(_Part):
    """A source of proposals that looks at frames in the background."""

    kind: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$", description="A file of central/annotate/proposers.")]
    model: Annotated[str, Field(max_length=1000, description="Of a teacher: KIND:PATH or KIND:HUB-NAME.")] = ""
    names: Annotated[
        dict[Name, Name], Field(max_length=1000, description="Of a teacher: its classes or words, and our labels.")
    ] = {}
    threshold: Annotated[Share, Field(description="Score from which it proposes.")] = 0.3


class Redaction(_Part):
    """What importers make unreadable in every image before anything is stored. Nodes have their own configuration."""

    method: Literal["fill", "pixelate"] = "fill"
    masks: Annotated[
        tuple[tuple[Share, Share, Share, Share], ...],
        Field(max_length=100, description="x1, y1, x2, y2 in shares of the image."),
    ] = ()


class Profile(_Part):
    """What a project labels. Names and keys are unique."""

    name: Name
    labels: Annotated[tuple[ProfileLabel, ...], Field(min_length=1, max_length=1000)]
    tags: Annotated[tuple[ProfileTag, ...], Field(max_length=1000)] = ()
    questions: Annotated[tuple[ProfileQuestion, ...], Field(max_length=100)] = ()
    sources: Annotated[tuple[ProfileSource, ...], Field(max_length=100)] = ()
    redaction: Redaction = Redaction()
    queue: ProfileQueue = ProfileQueue()
    proposers: Annotated[
        tuple[ProfileProposer, ...],
        Field(max_length=20, description="What proposes, in this order; empty: track, pack, tags."),
    ] = ()
    base: Annotated[str, Field(max_length=1000, description="The profile that an edited one began as.")] = ""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, values in (
            ("label", [label.name for label in self.labels]),
            ("key", [label.key for label in self.labels if label.key]),
            ("tag", [tag.name for tag in self.tags]),
            ("question", [question.name for question in self.questions]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{what} {twice!r} is there twice")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return tuple(label.name for label in self.labels)

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tags, in order."""
        return tuple(tag.name for tag in self.tags)


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
    return read(_path(name))


def read(path: Path) -> Profile:
    """Return the profile in the file `path`. Raises ProfileError."""
    if path.stat().st_size > MAX_FILE:
        raise ProfileError(f"{path}: more than {MAX_FILE} bytes; is it a profile?")
    try:
        return Profile.model_validate(yamls.load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "profile"
        raise ProfileError(f"{path}: {where}: {str(first['msg']).removeprefix('Value error, ')}") from None
    except ValueError as error:  # of YAML, or of the text
        line = f" in line {error.line}" if isinstance(error, YamlError) and error.line else ""
        raise ProfileError(f"{path}: not YAML{line}; see {SHIPPED / 'street.yaml'} for the form") from None


def place(settings: Settings) -> str:
    """Return what `load` finds the profile by that counts for `settings`: the edited one, where there is one of it.

    Raises ProfileError where the edited one cannot be read.
    """
    edited = settings.data / EDITED
    if edited.is_file() and read(edited).base == settings.profile:
        return str(edited)
    return settings.profile


def current(settings: Settings) -> Profile:
    """Return the profile that counts for `settings`. Raises ProfileError."""
    return load(place(settings))


def dump(profile: Profile) -> str:
    """Return `profile` as a YAML file."""
    plain = profile.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def save(profile: Profile, data: Path) -> None:
    """Write the edited `profile` into the data folder. Raises OSError."""
    write_atomic(data / EDITED, dump(profile).encode())


def salt(data: Path) -> bytes:
    """Return the salt of this centre, made once. Raises OSError."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data / SALT
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
    return path.read_bytes()
