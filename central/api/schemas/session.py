"""Logging in, and out."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, SecretStr

from central.api.schemas.base import Body, Role, View

MAX_PASSWORD: Final = 200
"""Characters; argon2 would hash any length, and take as long as the sender likes."""
MIN_PASSWORD: Final = 10
"""Characters of a password that somebody chooses."""


class Login(Body):
    """A name and its password."""

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["admin"])]
    password: Annotated[SecretStr, Field(max_length=MAX_PASSWORD)]


class PasswordChange(Body):
    """The password so far, and the one from now on."""

    old: Annotated[SecretStr, Field(max_length=MAX_PASSWORD)]
    new: Annotated[SecretStr, Field(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)]


class SessionView(View):
    """Who is logged in."""

    name: str = Field(examples=["admin"])
    role: Role
    sites: dict[str, Role] = Field({}, description="Sites where the role is another one.")


class SessionToken(SessionView):
    """A new session. The token works as ``Authorization: Bearer TOKEN``; it is shown this once."""

    token: str
