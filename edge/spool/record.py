"""One frame in one file: checked, and encrypted where there is a key.

    WSF2 | kind (1) | 0 (3) | key id (8) | age stamp (8) | length of body (8) | SHA-256 (32) | body

Kind 0 is plain, 1 is AES-256-GCM. Numbers are big-endian. The hash is of all that stands before it and of the body as
it is stored, so that damage is told from a missing key without having the key. An encrypted body is nonce (12) |
ciphertext and tag, bound to what stands before the hash. The key id is part of a hash of the key: it says which key,
and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"WSF2"
FIELDS: Final = 32
"""Bytes before the hash."""
HEADER: Final = FIELDS + 32
KEY_BYTES: Final = 32
NONCE: Final = 12
TAG: Final = 16
PLAIN: Final = bytes(8)
"""Key id of a record that is not encrypted."""


class SpoolError(Exception):
    """A spool that cannot be used as configured. The text says what, where, and what to do."""


class LockedError(Exception):
    """A whole record of another key."""


@dataclass(frozen=True)
class Head:
    """What stands before the body."""

    key: bytes
    """Key id; PLAIN where the body is not encrypted."""
    stamp: int
    """Age of the spool when the record was made, seconds."""
    length: int
    """Bytes of the body as stored."""
    fields: bytes
    digest: bytes


class Cipher:
    """Encrypts and decrypts with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise SpoolError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self.id = hashlib.sha256(b"wayside spool key\0" + key).digest()[:8]
        self._aead = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> Cipher:
        """Return the cipher with the key in `path`. Raises SpoolError."""
        make = f"make one with: (umask 077; head -c {KEY_BYTES} /dev/urandom > {path})"
        try:
            mode = path.stat().st_mode
            key = path.read_bytes() if stat.S_ISREG(mode) else b""
        except FileNotFoundError:
            raise SpoolError(f"spool.key_file: {path} is not there; put the key of this node back, or {make}") from None
        except OSError as error:
            raise SpoolError(f"spool.key_file: {path} cannot be read ({error.strerror})") from None
        if stat.S_IMODE(mode) & 0o077:
            raise SpoolError(f"spool.key_file: {path} may be read by others; run: chmod 600 {path}")
        if len(key) != KEY_BYTES:
            raise SpoolError(f"spool.key_file: {path} has {len(key)} bytes, not {KEY_BYTES}; {make}")
        return cls(key)

    def encrypt(self, body: bytes, bound: bytes) -> bytes:
        """Return nonce and ciphertext of `body`, bound to `bound`."""
        nonce = os.urandom(NONCE)
        return nonce + self._aead.encrypt(nonce, body, bound)

    def decrypt(self, stored: bytes, bound: bytes) -> bytes | None:
        """Return the body, or None where this is not what was encrypted."""
        try:
            return self._aead.decrypt(stored[:NONCE], stored[NONCE:], bound)
        except (InvalidTag, ValueError):
            return None


def pack_record(body: bytes, stamp: int = 0, cipher: Cipher | None = None) -> bytes:
    """Return the file content for the encoded message `body`, made at age `stamp` (seconds)."""
    length = len(body) + (NONCE + TAG if cipher else 0)
    kind, key = (b"\1", cipher.id) if cipher else (b"\0", PLAIN)
    fields = MAGIC + kind + bytes(3) + key + stamp.to_bytes(8, "big") + length.to_bytes(8, "big")
    stored = cipher.encrypt(body, fields) if cipher else body
    return fields + hashlib.sha256(fields + stored).digest() + stored


def read_head(data: bytes) -> Head | None:
    """Return what the beginning of a record says, or None where it is none."""
    if len(data) < HEADER or data[:4] != MAGIC or data[4] > 1:
        return None
    stamp, length = int.from_bytes(data[16:24], "big"), int.from_bytes(data[24:32], "big")
    return Head(data[8:16], stamp, length, data[:FIELDS], data[FIELDS:HEADER])


def check_record(data: bytes) -> Head | None:
    """Return the head of the record `data`, or None where it is damaged."""
    head = read_head(data)
    if head is None or head.length != len(data) - HEADER:
        return None
    digest = hashlib.sha256(head.fields)
    digest.update(memoryview(data)[HEADER:])
    return head if digest.digest() == head.digest else None


def unpack_record(data: bytes, cipher: Cipher | None = None) -> bytes | None:
    """Return the body of the record `data`, or None where it is damaged. Raises LockedError."""
    head = check_record(data)
    if head is None:
        return None
    if head.key == PLAIN:
        return data[HEADER:]
    if cipher is None or cipher.id != head.key:
        raise LockedError
    return cipher.decrypt(data[HEADER:], head.fields)
