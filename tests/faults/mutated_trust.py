"""Tampered, truncated, old, frozen, mixed and endless metadata, given to a node that knows better (P10).

    python -m tests.faults.mutated_trust [--count 10000] [--seed N] [--bug NAME] [--json]

The node trusts the centre's state of release 1; offered is release 2, with one of the files that it asks for spoiled:
every bit of every file flipped and every truncation, drawn up to `--count`, and each other kind of attack once for each
file. Accepted counts what the node took for signed although it says something else. A signature in capital letters says
the same, and is counted apart. Prints the seed and one JSON line; exit status 1 where anything was accepted.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner

from protocols.messages import Release
from protocols.trust import MAX_METADATA, TIME, TIMESTAMP_LIFETIME, TrustError
from protocols.trust.sign import Repository, make_root
from protocols.trust.verify import Approved, MissingError, Verifier
from tests.faults.updates import NOW, Centre

ATTACKS = ("tampered", "rollback", "frozen", "mixed", "endless", "malformed", "incomplete", "not signed")
"""How a reason begins, each naming what was done, or found."""
Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Attack:
    """What is done to the file `name`; `late`: seconds that have gone by since it was signed."""

    kind: str
    name: str
    change: Change
    late: float = 0.0


class World:
    """A centre, a node's folder of release 1, and the files that it asks for on the way to release 2."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clean, self.work = folder, folder / "clean", folder / "work"
        self.centre = Centre(folder / "centre")
        self.asked: list[str] = []
        self.attack: Attack | None = None
        self.first = self.centre.publish("old", 1)
        self.node(self.clean).approve(self.first.pack, 1)
        shutil.copytree(self.centre.folder / "trust", folder / "earlier")
        self.centre.now += timedelta(hours=1)
        self.second = self.centre.publish("new", 2)
        self.centre.rotate()
        self.asked.clear()
        self.approved = self.attempt(None)
        self.names = sorted({n for n in self.asked if not n.startswith(TIME) and self.centre.signed(n)})
        self.theirs = self._other_centre()

    def _other_centre(self) -> Path:
        online = CryptoSigner.generate_ed25519()
        root = make_root([CryptoSigner.generate_ed25519()], 1, online.public_key, NOW)
        made = Repository.create(self.folder / "theirs", root, online, NOW)
        for number, release in enumerate((self.first, self.second), 1):
            made.add(release.pack, 10, "0" * 64, number, "evil", NOW + timedelta(hours=number))
        return self.folder / "theirs"

    def read(self, name: str, limit: int) -> bytes:
        """Give the node what it asks for, or what the attack makes of it."""
        self.asked.append(name)
        data, attack = self.centre.signed(name), self.attack
        if data is None:
            raise MissingError(name)
        kind = TIME if name.startswith(f"{TIME}/") else name
        if attack is not None and attack.name == kind:
            data = attack.change(data)
        return data[: limit + 1]

    def node(self, data: Path, late: float = 0.0) -> Verifier:
        return Verifier(data, self.centre.root, self, lambda: self.centre.now + timedelta(seconds=late))

    def attempt(self, attack: Attack | None, release: Release | None = None) -> Approved:
        """Let the node look. Raises TrustError."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.clean, self.work, symlinks=True)
        self.attack = attack
        wanted = release or self.second
        now = self.centre.now
        try:
            if attack is not None and attack.late:  # the centre that withholds news cannot hold back the time
                self.centre.now = now + timedelta(seconds=attack.late)
            return self.node(self.work).approve(wanted.pack, wanted.number)
        finally:
            self.centre.now = now


def flipped(place: int) -> Change:
    """Flip bit `place`."""
    return lambda data: data[: place // 8] + bytes([data[place // 8] ^ 1 << place % 8]) + data[place // 8 + 1 :]


def attacks(world: World, count: int, draw: random.Random) -> Iterator[Attack]:
    """Every kind once for each file, then flips and truncations, each once, up to `count` in all."""
    sizes = {name: len(world.centre.signed(name) or b"") for name in world.names}
    many = [("flip", name, place) for name, size in sizes.items() for place in range(8 * size)]
    many += [("cut", name, place) for name, size in sizes.items() for place in range(size)]
    many += [("flip", TIME, place) for place in range(8 * 150)]
    for name in world.names:
        file = name.partition("/")[2]
        old, theirs = world.folder / "earlier" / file, world.theirs / file
        yield Attack("endless", name, lambda data: data + b" " * (2 * MAX_METADATA))
        yield Attack("theirs", name, lambda data, p=theirs: p.read_bytes() if p.exists() else b"{}")  # type: ignore[misc]
        if old.exists() and old.read_bytes() != world.centre.signed(name):
            yield Attack("old", name, lambda data, p=old: p.read_bytes())  # type: ignore[misc]
        for other in world.names:
            if other != name:
                yield Attack("mixed", name, lambda data, n=other: world.centre.signed(n) or b"")  # type: ignore[misc]
    yield Attack("frozen", "", lambda data: data, TIMESTAMP_LIFETIME.total_seconds() + 60)
    for kind, name, place in draw.sample(many, min(count, len(many))):
        yield Attack(kind, name, flipped(place) if kind == "flip" else lambda data, p=place: data[:p])  # type: ignore[misc]


def run(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Attack `count` times or more, and return what came of it."""
    print("seed", seed, file=sys.stderr, flush=True)
    world = World(folder)
    began, tried, accepted, same, unnamed = time.monotonic(), Counter[str](), list[str](), 0, list[str]()
    named: Counter[str] = Counter()
    for attack in attacks(world, count, random.Random(seed)):
        tried[attack.kind] += 1
        try:
            found = world.attempt(attack)
        except TrustError as error:
            name = next((a for a in ATTACKS if str(error).startswith(a)), "")
            named[name] += 1
            unnamed += [] if name else [str(error)[:200]]
            continue
        if found == world.approved and attack.kind in ("flip", "cut"):
            same += 1
        else:
            accepted.append(f"{attack.kind} {attack.name}")
    return {
        "seed": seed, "attacks": sum(tried.values()), "kinds": dict(tried), "accepted": len(accepted),
        "which": accepted[:10], "said_the_same": same, "named": dict(named), "unnamed": unnamed[:5],
        "seconds": round(time.monotonic() - began, 1), "ok": not accepted and not unnamed,
    }  # fmt: skip


def _unsigned() -> None:
    """Signatures count for nothing."""
    from tuf.api.metadata import Metadata

    Metadata.verify_delegate = lambda *_, **__: None  # type: ignore[method-assign]
    from tuf.api import metadata

    for kind in (metadata.Root, metadata.Targets):
        kind.verify_delegate = lambda *_, **__: None  # type: ignore[method-assign]


def _unending() -> None:
    """Nothing ever expires."""
    from tuf.api.metadata import Signed

    Signed.is_expired = lambda *_, **__: False  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {"unsigned": _unsigned, "unending": _unending}


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--bug", choices=list(BUGS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.bug:
        BUGS[given.bug]()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        answer = run(Path(folder), given.count, given.seed)
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
