"""What a network is, in numbers. Everything else follows from it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

STRIDES: Final = (8, 16, 32)
"""Pixels per cell of the three levels that the heads work on."""
BINS: Final = 9
"""Support points 0..8 of the distribution over each box side, in strides: sides up to 256 px at stride 32."""


def check_left_out(without: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Raise ValueError where a head of `without` is not one of the `optional` ones."""
    for head in without:
        if head not in optional:
            raise ValueError(f"head {head!r} cannot be left out; those that can: {', '.join((*optional, 'tags'))}")


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Channels and depths of one size. All channels are multiples of 16, the vector width of CPU kernels."""

    stem: int
    """Channels at stride 2; 0 goes to stride 4 in one 7x7 step, which costs a third less in 8-bit integers."""
    widths: tuple[int, int, int, int]
    """Channels at strides 4, 8, 16, 32."""
    depths: tuple[int, int, int, int]
    """Blocks at strides 4, 8, 16, 32."""
    neck: int
    """Channels of every level after the neck, and of the heads."""
    head_blocks: int


SIZES: Final[dict[str, Size]] = {
    "tiny": Size(stem=0, widths=(16, 32, 48, 64), depths=(0, 1, 1, 1), neck=32, head_blocks=0),
    "nano": Size(stem=0, widths=(32, 64, 128, 160), depths=(0, 2, 3, 1), neck=64, head_blocks=0),
    "small": Size(stem=0, widths=(48, 96, 160, 256), depths=(1, 3, 5, 2), neck=96, head_blocks=1),
    "medium": Size(stem=32, widths=(64, 128, 256, 384), depths=(1, 3, 8, 3), neck=128, head_blocks=2),
}
"""``tiny`` is for tests and the two-minute demo round; the others are about 0.5, 2 and 6 million parameters."""


class Semantic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size of the tag head of semantic transfer (`central.learn.models.semantic`)."""

    width: Annotated[int, Meta(ge=8, le=1024)]
    """Numbers D per tag feature."""
    attention: Annotated[int, Meta(ge=4, le=1024)]
    """Numbers d in which places and tags are compared."""


class ModelConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family", tag="wayside"
):
    """A network, fully described: stored beside its weights and in the pack's metadata."""

    size: str = "nano"
    labels: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)]
    tags: tuple[str, ...] = ()
    embedding: Annotated[int, Meta(ge=8, le=1024)] = 64
    """Dimension D of the frame embedding."""
    height: Annotated[int, Meta(ge=64, le=2048)] = 288
    """Input height in pixels, a multiple of 32."""
    width: Annotated[int, Meta(ge=64, le=2048)] = 512
    top_k: Annotated[int, Meta(ge=10, le=3000)] = 300
    """Boxes that the graph returns, before NMS."""
    without: tuple[str, ...] = ()
    """Heads that are left out: ``blur``, ``embedding`` (tags are left out by having none)."""
    semantic: Semantic | None = None
    """The tag head of semantic transfer; None: the plain one, where the strongest place counts."""

    def __post_init__(self) -> None:
        check_left_out(self.without, ("blur", "embedding"))
        if self.size not in SIZES:
            raise ValueError(f"model size {self.size!r}: choose one of {', '.join(SIZES)}")
        if self.height % 32 or self.width % 32:
            raise ValueError(f"input {self.height}x{self.width}: both sides must be multiples of 32")
        if len(set(self.labels)) != len(self.labels) or len(set(self.tags)) != len(self.tags):
            raise ValueError("labels and tags must not repeat")
