"""Where a round starts: from the pack that runs, from another one, from the most similar one, or from a bare backbone.

    start = "" -> the pack that runs      NAME, PATH, ADDRESS -> that pack      FILE.safetensors -> its weights
            "auto" -> every pack that training can start from is ranked (`central.learn.transfer_similarity`) by how
                      like its training frames are to the new ones; the most similar one is taken

The pack that a round starts from is its teacher and the parent of what comes of it. What runs now stays what the new
pack is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from central.learn.start import StartError, read_pack, weights_from
from central.learn.transfer_similarity import Likeness
from edge.runtime import packs
from export import checkpoint
from protocols.pack import Pack, PackError, open_folder

AUTO: Final = "auto"
CHECKPOINT: Final = ".safetensors"
LEAST_ADDRESS: Final = 8
"""Characters of an address that name a pack for sure."""

Update = Literal["all", "heads", "norms", "low-rank"]
LEARNING: Final[Mapping[str, Literal["all", "heads", "heads+norms", "low-rank"]]] = {
    "all": "all", "heads": "heads", "norms": "heads+norms", "low-rank": "low-rank",
}  # fmt: skip
"""What `TrainConfig.train` is for each kind of update."""


class TransferError(ValueError):
    """A start that there is not. The text says which, why, and what to do."""


@dataclass(frozen=True)
class Beginning:
    """Where a round starts."""

    pack: Pack
    """The teacher, and parent of what comes of the round."""
    how: str = "the pack that runs"
    """Why this one, in words."""
    weights: Path | None = None
    """A checkpoint whose weights take the place of the pack's where they fit."""
    table: tuple[Likeness, ...] = ()
    """With ``auto``: all candidates, the most similar first."""

    def described(self) -> dict[str, Any]:
        """Return it for the report of a round."""
        return {
            "start": {"pack": self.pack.address, "name": self.pack.manifest.name, "how": self.how,
                      "weights": None if self.weights is None else self.weights.name},
            "similarity": [asdict(row) for row in self.table],
        }  # fmt: skip


def update_of(name: object) -> Literal["all", "heads", "heads+norms", "low-rank"] | None:
    """Return what learns in an update called `name`; None where nobody chose. Raises TransferError."""
    if name is None or name == "":
        return None
    if name not in LEARNING:
        raise TransferError(f"update {str(name)[:40]!r}: give one of {', '.join(get_args(Update))}")
    return LEARNING[str(name)]


def named(start: str, running: Pack, folder: Path) -> Beginning:
    """Return the beginning that `start` names, a pack (name, path or address) or a checkpoint.

    `folder` holds the registered packs by address. Raises TransferError.
    """
    if start.endswith(CHECKPOINT):
        return _bare(Path(start).expanduser(), running)
    try:
        pack = _registered(start, folder) or packs.find(start, folder)
        read_pack(pack)
    except (PackError, StartError) as error:
        raise TransferError(f"start {start}: {error}") from None
    return Beginning(pack, f"asked for: {start}")


def _registered(start: str, folder: Path) -> Pack | None:
    if len(start) < LEAST_ADDRESS or not all(c in "0123456789abcdef" for c in start) or not folder.is_dir():
        return None
    found = [path for path in folder.iterdir() if path.name.startswith(start)]
    return open_folder(found[0]) if len(found) == 1 else None


def _bare(path: Path, running: Pack) -> Beginning:
    if not path.is_file():
        raise TransferError(f"start {path}: no such checkpoint; give a safetensors file, a pack, or auto")
    return Beginning(running, f"the weights of {path.name}, the rest fresh", path)


def planted(network: Any, path: Path) -> Any:
    """Put the weights of the checkpoint at `path` into `network`, where names and shapes fit, and return it.

    Raises TransferError where none of the trunk's does.
    """
    try:
        given = weights_from(str(path), tuple(network.config.labels))
    except (StartError, checkpoint.CheckpointError) as error:
        raise TransferError(f"start {path}: {error}") from None
    trunk = [name for name in network.state_dict() if name.startswith(network.trunk)]
    left = set(checkpoint.load_into(network, given, strict=False))
    if trunk and all(name in left for name in trunk if not name.endswith("num_batches_tracked")):
        raise TransferError(f"start {path}: no weight of it fits the backbone; it is of another network or size")
    return network


def proposed(table: Sequence[Likeness], candidates: Mapping[str, Pack], running: Pack) -> Beginning:
    """Return the most similar of `candidates` (by address); the pack that runs where nothing could be compared."""
    ranked = tuple(sorted(table, key=lambda row: -(row.likeness if row.likeness is not None else -1.0)))
    best = next((row for row in ranked if row.likeness is not None), None)
    if best is None:
        return Beginning(running, "the pack that runs: no other one can be compared with the new frames", table=ranked)
    pack = candidates[best.pack]
    return Beginning(pack, f"the most similar of {len(ranked)}: {best.reason}", table=ranked)
