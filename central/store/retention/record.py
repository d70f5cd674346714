"""The record of what was deleted: a hash chain of runs, each signed, as text that anybody can check.

    {"format": 1, "keys": [...]}                          first line
    {"run": {"number", ..., "previous", "hash", "key", "signature"}}
    {"kind", "item", ...}                                 its items, one a line, in order; their lines make items_sha256
    {"run": ...}                                          the next one

`hash` is the SHA-256 of the run's fields as canonical JSON, `previous` that of the run before, so that nothing can be
taken out of the middle or changed; the signature (Ed25519 over a fixed prefix and the hash) says who sealed it. The key
is one of its own: those that sign releases say what nodes run, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import CryptoSigner
from sqlalchemy import select
from sqlalchemy.orm import Session

from central.store.models import Deletion, DeletionRun
from central.store.retention import RetentionError
from protocols import files
from protocols.trust import TrustError, keys

FORMAT: Final = 1
KEY: Final = "retention.pem"
"""In the folder of keys."""
FIRST: Final = "0" * 64
"""What the first run has for `previous`."""
PREFIX: Final = b"wayside deletion run 1\n"
"""What is signed begins with it, so that no signature for another purpose counts here."""
PAGE: Final = 2000
MAX_LINE: Final = 1 << 20
"""Bytes of one line of a log."""


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that was deleted."""

    kind: str
    item: str
    node: str
    camera: str
    site: str
    sha256: str
    bytes: int
    blob: str
    why: str
    at: str


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sealed run."""

    number: int
    started: str
    finished: str
    by: str
    rules: dict[str, Any]
    kept: dict[str, int]
    items: int
    bytes: int
    items_sha256: str
    previous: str
    hash: str = ""
    key: str = ""
    signature: str = ""

    def digest(self) -> str:
        """Return what `hash` has to be."""
        fields = msgspec.to_builtins(self)
        for name in ("hash", "key", "signature"):
            del fields[name]
        return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    keys: list[str] = []


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    run: Run


def item_of(row: Deletion) -> Item:
    """Return `row` as a record has it."""
    return Item(
        kind=row.kind, item=row.item, node=row.node, camera=row.camera, site=row.site, sha256=row.sha256,
        bytes=row.size_bytes, blob=row.blob, why=row.why, at=row.at.isoformat(),
    )  # fmt: skip


def line(item: Item) -> bytes:
    """Return `item` as its line, with the newline."""
    return msgspec.json.encode(item, order="deterministic") + b"\n"


def run_of(row: DeletionRun) -> Run:
    """Return `row` as a record has it."""
    return Run(
        number=row.number, started=row.started.isoformat(), finished=(row.finished or row.started).isoformat(),
        by=row.by, rules=row.rules, kept=row.kept, items=row.items, bytes=row.bytes, items_sha256=row.items_sha256,
        previous=row.previous, hash=row.hash, key=row.key, signature=row.signature,
    )  # fmt: skip


def signer(data: Path) -> CryptoSigner:
    """Return the key that seals runs of the centre in `data`, made where there is none.

    Raises RetentionError, OSError.
    """
    path = data / "keys" / KEY
    try:
        return keys.load(path) if path.exists() else keys.make(path)
    except TrustError as error:
        raise RetentionError(str(error)) from None


def public(key: CryptoSigner) -> str:
    """Return the public half, hexadecimal."""
    return str(key.public_key.keyval["public"])


def items(session: Session, run: int) -> Iterator[Item]:
    """Yield the items of `run` in order."""
    last = 0
    while True:
        query = select(Deletion).where(Deletion.run == run, Deletion.id > last).order_by(Deletion.id).limit(PAGE)
        rows = session.scalars(query).all()
        for row in rows:
            yield item_of(row)
        if len(rows) < PAGE:
            return
        last = rows[-1].id
        session.expunge_all()


def seal(session: Session, number: int, key: CryptoSigner, now: datetime) -> DeletionRun:
    """Count, hash and sign the run `number`, in the caller's transaction."""
    count = size = 0
    digest = hashlib.sha256()
    for each in items(session, number):
        count, size = count + 1, size + each.bytes
        digest.update(line(each))
    row = session.get_one(DeletionRun, number)
    before = session.scalar(select(DeletionRun.hash).where(DeletionRun.number == number - 1))
    row.items, row.bytes, row.items_sha256, row.finished = count, size, digest.hexdigest(), now
    row.previous = before or FIRST
    session.flush()
    session.refresh(row)
    row.hash = run_of(row).digest()
    row.key, row.signature = public(key), str(key.sign(PREFIX + row.hash.encode()).signature)
    session.flush()
    return row


def export(session: Session, file: IO[bytes], since: int = 1) -> int:
    """Write the sealed runs from `since` on; return how many."""
    rows = session.scalars(
        select(DeletionRun).where(DeletionRun.hash != "", DeletionRun.number >= since).order_by(DeletionRun.number)
    ).all()
    runs = [run_of(row) for row in rows]
    held = sorted({run.key for run in runs})
    file.write(msgspec.json.encode({"format": FORMAT, "keys": held}) + b"\n")
    for run in runs:
        file.write(msgspec.json.encode({"run": run}, order="deterministic") + b"\n")
        for each in items(session, run.number):
            file.write(line(each))
    return len(runs)


def save(session: Session, path: Path, since: int = 1) -> int:
    """Write the record to `path`, whole or not at all; return how many runs. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            count = export(session, file, since)
            file.flush()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    files.sync_folder(path.absolute().parent)
    return count


@dataclass(frozen=True)
class Checked:
    """What a log is worth: how many runs and items it has, who signed, the hash of its last run, and what is wrong."""

    runs: int
    items: int
    first: int
    keys: tuple[str, ...]
    head: str
    problems: tuple[str, ...]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, text in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
            if len(text) > MAX_LINE:
                raise RetentionError(f"{path}: line {number} is too long; this is no log of deletions")
            yield number, text


def read(path: Path) -> Iterator[Run | Item]:
    """Yield runs and items of the log at `path`, as they stand there. Raises RetentionError, OSError."""
    for number, text in _lines(path):
        try:
            if number == 1:
                head = msgspec.json.decode(text, type=_Head)
                if head.format != FORMAT:
                    raise RetentionError(f"{path}: of format {head.format}, this reads {FORMAT}; use a newer Wayside")
            elif text.startswith(b'{"run"'):
                yield msgspec.json.decode(text, type=_Link).run
            else:
                yield msgspec.json.decode(text, type=Item)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            said = f"{path}: line {number}: {str(error)[:200]}; this is no whole log of deletions"
            raise RetentionError(said) from None


def signed(run: Run) -> bool:
    """Whether the signature of `run` is of the key that it names."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(run.key))
        key.verify(bytes.fromhex(run.signature), PREFIX + run.hash.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


class _Chain:
    """Checks runs and items as they come."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted, self._count, self._size = set(trusted), 0, 0
        self._run: Run | None = None
        self._digest = hashlib.sha256()
        self.problems: list[str] = []
        self.runs = self.items = self.first = 0
        self.keys: set[str] = set()
        self.head = ""

    def take(self, each: Run | Item) -> None:
        if isinstance(each, Item):
            if self._run is None:
                self._say(f"item {each.item} stands before any run")
            self._count, self._size, self.items = self._count + 1, self._size + each.bytes, self.items + 1
            self._digest.update(line(each))
            return
        self.end()
        self._begin(each)

    def _say(self, text: str) -> None:
        self.problems.append(text)

    def _begin(self, run: Run) -> None:
        number, before = run.number, self._run
        if run.digest() != run.hash:
            self._say(f"run {number}: its fields are not those that were hashed")
        if not signed(run):
            self._say(f"run {number}: the signature is wrong")
        elif run.key not in self._trusted:
            self._say(f"run {number}: signed with a key that is not known here, {run.key}; give --key")
        if before is None:
            self.first = number
        if before is None and number == 1 and run.previous != FIRST:
            self._say("run 1: it names a run before it")
        if before is not None and (run.previous != before.hash or number != before.number + 1):
            self._say(f"run {number}: it does not follow run {before.number}")
        self.runs, self.head = self.runs + 1, run.hash
        self.keys.add(run.key)
        self._run, self._count, self._size, self._digest = run, 0, 0, hashlib.sha256()

    def end(self) -> None:
        """Compare the items of the last run with what it says of them."""
        run = self._run
        if run is not None and (self._count, self._size, self._digest.hexdigest()) != (
            run.items, run.bytes, run.items_sha256
        ):  # fmt: skip
            self._say(f"run {run.number}: its items are not those that were hashed")


def check(path: Path, trusted: Sequence[str]) -> Checked:
    """Check hashes, chain and signatures of the log at `path`; `trusted` are public keys, hexadecimal.

    Raises RetentionError where it is no log, and OSError.
    """
    chain = _Chain(trusted)
    for each in read(path):
        chain.take(each)
    chain.end()
    found = tuple(chain.problems)
    return Checked(chain.runs, chain.items, chain.first, tuple(sorted(chain.keys)), chain.head, found)
