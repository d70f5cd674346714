"""What a power cut may leave on a disk, for any code that writes files.

    with Recorder(root) as recorder:         every change below `root` becomes an operation of a trace
        spool.add(...)
        recorder.mark("added", frame)        what the code has promised from here on

    for state in states(recorder, random):   a disk after a cut behind some operation, and the promises made by then
        state.build(folder)                  start the real code on it

The model is that of POSIX at its worst, which is what file systems only promise to improve:

- the content of a file is on the disk once it was fsynced; until then its last durable content may be there, or the new
  one, or a part of it, or its size with zeros;
- a name (made, renamed, deleted) is on the disk once its folder was fsynced; until then each change of names may be
  there or not, independently of the others, except that a rename within a folder is atomic. A rename between folders
  may leave both names, and none where only the old folder was fsynced.
- a folder whose own name is not durable is not there, with all that it holds.

Changes of content are found by reading the tree before each operation, so it does not matter who wrote. fsync, rename
and deletion are seen because `os` is wrapped while the recorder is open, in this process only.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

Node = int
"""A file or folder, whatever it is called."""
ROOT: Final[Node] = 0
BLOCK: Final = 4096
MAX_STATES: Final = 96
"""Of one point of the trace; beyond it they are drawn."""


@dataclass(frozen=True)
class Names:
    """Names in folders that change together: (folder, name) -> what it names then, None for nothing."""

    changes: tuple[tuple[Node, str, Node | None], ...]
    durable: bool = False
    """Whether it is on the disk at once."""


@dataclass(frozen=True)
class Content:
    """The file has this content now."""

    file: Node
    data: bytes
    durable: bool = False


@dataclass(frozen=True)
class Sync:
    """File or folder was fsynced."""

    node: Node


@dataclass(frozen=True)
class Mark:
    """The code has returned from something, and so promised it."""

    what: tuple[Any, ...]


Operation = Names | Content | Sync | Mark
_WRAPPED: Final = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "fsync", "fdatasync", "truncate")
_TWO_NAMES: Final = frozenset({"rename", "replace"})


class Recorder:
    """Writes down what happens below `root`, which exists, from entering to leaving."""

    def __init__(self, root: Path, trusted: Callable[[PurePosixPath], bool] = lambda path: False) -> None:
        """`trusted` names files of which another program takes care, such as a database's: what is in them counts as
        durable at once, as that is its promise, not ours."""
        self.root, self._trusted = root.resolve(), trusted
        self.trace: list[Operation] = []
        self.folders: set[Node] = {ROOT}
        self._tree: dict[PurePosixPath, Node] = {PurePosixPath("."): ROOT}
        self._data: dict[Node, bytes] = {}
        self._count = itertools.count(1)
        self._lock = threading.RLock()
        self._saved: dict[str, Any] = {}

    def __enter__(self) -> Recorder:
        self.look()
        for node in list(self._tree.values()):  # what was there before is durable
            self.trace.append(Sync(node))
        for name in _WRAPPED:
            self._saved[name] = getattr(os, name)
            setattr(os, name, self._wrap(name, self._saved[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self._saved.items():
            setattr(os, name, original)
        self.look()

    def mark(self, *what: Any) -> None:
        """Note a promise."""
        with self._lock:
            self.look()
            self.trace.append(Mark(what))

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            with self._lock:
                self.look()
                before = self._before(name, args, options)
                result = original(*args, **options)
                if before is not None:
                    before()
                self.look()
                return result

        return wrapped

    def _before(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Callable[[], None] | None:
        """Return what to note once the call of `os.name` has succeeded."""
        if name in ("fsync", "fdatasync"):
            handle = args[0] if isinstance(args[0], int) else args[0].fileno()
            path = self._below(Path(f"/proc/self/fd/{handle}").readlink())
            node = self._tree.get(path) if path is not None else None
            return None if node is None else lambda: self.trace.append(Sync(node))
        if name in _TWO_NAMES:
            old, new = self._below(args[0], options.get("src_dir_fd")), self._below(args[1], options.get("dst_dir_fd"))
            return None if old is None or new is None else lambda: self._renamed(old, new)
        return None  # made, deleted and cut off: `look` finds it

    def _below(self, path: Any, folder: int | None = None) -> PurePosixPath | None:
        text = os.fspath(path)
        base = Path.cwd() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
        full = base / (text.decode() if isinstance(text, bytes) else text)
        resolved = full.parent.resolve() / full.name
        return PurePosixPath(resolved.relative_to(self.root)) if resolved.is_relative_to(self.root) else None

    def _renamed(self, old: PurePosixPath, new: PurePosixPath) -> None:
        node = self._tree.get(old)
        if node is None or old == new:
            return
        self.trace.append(Names(((self._tree[new.parent], new.name, node), (self._tree[old.parent], old.name, None))))
        for path in [p for p in self._tree if p == new or new in p.parents]:
            del self._tree[path]
        for path in [p for p in self._tree if p == old or old in p.parents]:
            self._tree[new / path.relative_to(old)] = self._tree.pop(path)

    def look(self) -> None:
        """Find what was made, written and deleted since the last look."""
        with self._lock:
            found = dict(_walk(self.root))
            for path, data in found.items():
                if path not in self._tree:
                    self._tree[path] = node = next(self._count)
                    self.trace.append(Names(((self._tree[path.parent], path.name, node),), self._trusted(path)))
                    if data is None:
                        self.folders.add(node)
                node = self._tree[path]
                if data is not None and self._data.get(node, b"") != data:
                    self._data[node] = data
                    self.trace.append(Content(node, data, self._trusted(path)))
            for path in sorted(set(self._tree) - set(found) - {PurePosixPath(".")}, reverse=True):
                self._tree.pop(path)
                if path.parent in self._tree:
                    self.trace.append(Names(((self._tree[path.parent], path.name, None),), self._trusted(path)))


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    """Every file with its content and folder with None below `root`, folders before what they hold."""
    for path in sorted(root.rglob("*")):
        relative = PurePosixPath(path.relative_to(root))
        if path.is_dir() and not path.is_symlink():
            yield relative, None
        elif path.is_file() and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                yield relative, path.read_bytes()


@dataclass
class _Disk:
    """What is durable, and what may be."""

    names: dict[tuple[Node, str], Node] = field(default_factory=dict)
    data: dict[Node, bytes] = field(default_factory=dict)
    pending_names: list[Names] = field(default_factory=list)
    pending_data: dict[Node, list[bytes]] = field(default_factory=dict)
    marks: list[tuple[Any, ...]] = field(default_factory=list)

    def apply(self, operation: Operation, folders: set[Node]) -> None:
        if isinstance(operation, Names) and operation.durable:
            self._set(operation.changes, self.names)
        elif isinstance(operation, Content) and operation.durable:
            self.data[operation.file] = operation.data
        elif isinstance(operation, Names):
            self.pending_names.append(operation)
        elif isinstance(operation, Content):
            self.pending_data.setdefault(operation.file, []).append(operation.data)
        elif isinstance(operation, Mark):
            self.marks.append(operation.what)
        elif operation.node in folders:
            self._sync_folder(operation.node)
        elif operation.node in self.pending_data:
            self.data[operation.node] = self.pending_data.pop(operation.node)[-1]

    def _sync_folder(self, folder: Node) -> None:
        left = []
        for names in self.pending_names:
            mine = tuple(c for c in names.changes if c[0] == folder)
            self._set(mine, self.names)
            if others := tuple(c for c in names.changes if c[0] != folder):
                left.append(Names(others))
        self.pending_names = left

    @staticmethod
    def _set(changes: Iterable[tuple[Node, str, Node | None]], names: dict[tuple[Node, str], Node]) -> None:
        for folder, name, node in changes:
            if node is None:
                names.pop((folder, name), None)
            else:
                names[folder, name] = node

    def steps(self) -> list[list[Names]]:
        """For each change of names that may be lost, its outcomes: a rename between folders may be half done."""
        found = []
        for names in self.pending_names:
            outcomes = [Names(()), names]
            if len({c[0] for c in names.changes}) > 1:
                outcomes.append(Names(names.changes[:1]))
            found.append(outcomes)
        return found

    def contents(self, file: Node) -> list[bytes]:
        """What may be in `file`."""
        durable = self.data.get(file, b"")
        versions = [durable]
        for data in self.pending_data.get(file, []):
            versions += [data, *_torn(versions[-1], data)]
        return list(dict.fromkeys(versions))


def _torn(old: bytes, new: bytes) -> Iterator[bytes]:
    """Parts of the change from `old` to `new`; what was durable before an append stays, also where the append goes into
    reserved space, which is zeros, or gives that back."""
    half = len(new) // 2
    cut = half // BLOCK * BLOCK or half
    kept = old.rstrip(b"\0")
    if new[: len(kept)] == kept:
        yield kept + bytes(len(new) - len(kept))
        yield new[: len(kept) + (len(new) - len(kept)) // 2]
        return
    yield new[:half]
    yield bytes(len(new))
    yield new[:cut] + bytes(len(new) - cut)
    yield new[:cut] + old[cut:]


@dataclass(frozen=True)
class State:
    """One disk after a power cut."""

    point: int
    """Operations of the trace before the cut."""
    marks: tuple[tuple[Any, ...], ...]
    tree: dict[PurePosixPath, bytes | None]

    def build(self, folder: Path) -> None:
        """Make it in `folder`, which is empty or not there."""
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in self.tree.items():
            if data is None:
                (folder / path).mkdir()
            else:
                (folder / path).write_bytes(data)

    def promised(self, kind: str) -> list[Any]:
        """Return what was marked as `kind` before the cut, in order."""
        return [what[1] if len(what) > 1 else None for what in self.marks if what[0] == kind]

    @property
    def digest(self) -> bytes:
        """Same digest, same disk and same promises."""
        hashed = hashlib.sha256(repr((self.marks, sorted(map(str, self.tree)))).encode())
        for _, data in sorted((str(p), d) for p, d in self.tree.items() if d is not None):
            hashed.update(hashlib.sha256(data or b"").digest())
        return hashed.digest()


def states(recorder: Recorder, draw: random.Random, limit: int = MAX_STATES) -> Iterator[State]:
    """Every state after every operation, each once; at most `limit` for one operation, drawn where there are more."""
    disk, seen = _Disk(), set[bytes]()
    for point, operation in enumerate(recorder.trace):
        disk.apply(operation, recorder.folders)
        for tree in _trees(disk, recorder.folders, draw, limit):
            state = State(point + 1, tuple(disk.marks), tree)
            if (digest := state.digest) not in seen:
                seen.add(digest)
                yield state


def _trees(
    disk: _Disk, folders: set[Node], draw: random.Random, limit: int
) -> Iterator[dict[PurePosixPath, bytes | None]]:
    steps = disk.steps()
    files = list(disk.pending_data)
    contents = [disk.contents(file) for file in files]
    options: list[Sequence[Any]] = [*steps, *contents]
    every: Iterable[tuple[Any, ...]] = itertools.product(*options)
    if math.prod(map(len, options)) > limit:
        lost = tuple(o[0] for o in options)
        kept = [(*(o[1] for o in steps), *(c[i] for c in contents)) for i in (0, -1)]
        drawn = [tuple(draw.choice(o) for o in options) for _ in range(limit)]
        every = [lost, *kept, *drawn]
    for choice in every:
        names = dict(disk.names)
        for change in choice[: len(steps)]:
            _Disk._set(change.changes, names)
        data = {**disk.data, **dict(zip(files, choice[len(steps) :], strict=True))}
        yield _tree(names, data, folders)


def _tree(
    names: dict[tuple[Node, str], Node], data: dict[Node, bytes], folders: set[Node]
) -> dict[PurePosixPath, bytes | None]:
    below: dict[Node, list[tuple[str, Node]]] = {}
    for (folder, name), node in names.items():
        below.setdefault(folder, []).append((name, node))
    tree: dict[PurePosixPath, bytes | None] = {}

    def put(folder: Node, path: PurePosixPath) -> None:
        for name, node in sorted(below.get(folder, [])):
            tree[path / name] = None if node in folders else data.get(node, b"")
            if node in folders:
                put(node, path / name)

    put(ROOT, PurePosixPath("."))
    return tree


@dataclass
class Finding:
    """What enumerating came to."""

    states: int
    problems: list[str]


def enumerate_cuts(
    recorder: Recorder,
    folder: Path,
    check: Callable[[Path, State], None],
    *,
    seed: int | None = None,
    limit: int = MAX_STATES,
    at_most: int = 3,
) -> Finding:
    """Build every state below `folder` and call `check` on it, which raises AssertionError where a promise is broken;
    stop after `at_most` of these. Prints the seed."""
    seed = random.randrange(2**32) if seed is None else seed
    print("POWERCUT_SEED", seed, "operations", len(recorder.trace))
    found = Finding(0, [])
    for number, state in enumerate(states(recorder, random.Random(seed), limit)):
        place = folder / f"state-{number}"
        state.build(place)
        found.states += 1
        try:
            check(place, state)
        except AssertionError as error:
            names = ", ".join(map(str, state.tree))
            found.problems.append(f"cut after {state.point} operations of seed {seed}: {error}; there: {names}")
            if len(found.problems) >= at_most:
                break
    print("POWERCUT_STATES", found.states)
    return found
