"""The one file with which a node starts: who it is, where its broker is, and what it shows there.

    {"wayside": 1, "node": "gate-1", "site": "north", "host": "broker.example", "port": 8883, ... "root": {...}}
    -----BEGIN PRIVATE KEY-----      of this node
    -----BEGIN CERTIFICATE-----      of this node
    -----BEGIN CERTIFICATE-----      of the authority that signed it and the broker's

One line of JSON, then PEM. Whoever reads PEM skips what stands outside its blocks, so the file as it is serves as
authority, certificate and key of any TLS library and of ``mosquitto_sub --cafile F --cert F --key F``. It holds a
private key: mode 0600.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from protocols import topics
from protocols.messages import Identity

FORMAT: Final = 1
SUFFIX: Final = ".wnode"
MAX_FILE: Final = 64 * 1024
"""Bytes; a file is about 2 KB."""
MODE: Final = 0o600
_BEGIN: Final = "-----BEGIN "

Host = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_.:\[\]-]+\Z")]


class EnrolmentError(ValueError):
    """A text that is no enrolment. The text says what is wrong and what to do."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the first line, and the PEM blocks below it."""

    wayside: Annotated[int, Meta(ge=1)] = FORMAT
    """Format of the file."""
    node: Identity
    site: Identity = "default"
    host: Host
    """Of the broker; its certificate names it."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    prefix: str = topics.DEFAULT_PREFIX
    root: dict[str, Any] | None = None
    """Root metadata of the centre, from which the node's trust in releases starts."""


def render(enrolment: Enrolment, key: str, certificate: str, authority: str) -> str:
    """Return the text of the file. The three are PEM blocks."""
    head = msgspec.json.encode(enrolment).decode()
    return "\n".join((head, key.strip(), certificate.strip(), authority.strip(), ""))


def parse(text: str) -> Enrolment:
    """Return what the file with `text` says, or raise EnrolmentError. The PEM blocks are for the TLS library; that
    there are a key and two certificates is all that is looked at here."""
    if len(text) > MAX_FILE:
        raise EnrolmentError(f"more than {MAX_FILE} bytes; that is no enrolment")
    head, mark, rest = text.partition(_BEGIN)
    try:
        found = msgspec.json.decode(head.encode(), type=Enrolment)
        topics.check_prefix(found.prefix)
        topics.check_identity(found.node)
    except (msgspec.MsgspecError, ValueError) as error:
        raise EnrolmentError(f"the first line is not that of an enrolment ({str(error)[:200]})") from None
    if found.wayside > FORMAT:
        raise EnrolmentError(f"is of format {found.wayside}, newer than this program knows; update it")
    blocks = (mark + rest).count("-----BEGIN CERTIFICATE-----"), (mark + rest).count("PRIVATE KEY-----")
    if blocks != (2, 2):
        raise EnrolmentError("a certificate or the key is missing; let the centre make the file again")
    return found
