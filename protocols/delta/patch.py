"""Bytes as a patch of older bytes: zstd with the old ones as its dictionary, as ``zstd --patch-from`` does."""

from __future__ import annotations

from typing import Final

import zstandard

from protocols.delta.errors import DeltaError
from protocols.pack import MAX_PACK

LEVEL: Final = 19
"""A delta is made once and sent to every node."""
MAX_WINDOW_LOG: Final = 30
"""Enough for both files of the largest pack; memory is bounded by the sizes that are checked."""


def make(old: bytes, new: bytes) -> bytes:
    """Return what turns `old` (may be empty) into `new`."""
    window = min(MAX_WINDOW_LOG, max(10, (len(old) + len(new)).bit_length()))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, source_size=len(new), dict_size=len(old), window_log=window, write_content_size=1, write_checksum=0,
        enable_ldm=len(new) > 1 << 20,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=_dictionary(old)).compress(new)


def _dictionary(old: bytes) -> zstandard.ZstdCompressionDict | None:
    return zstandard.ZstdCompressionDict(old, zstandard.DICT_TYPE_RAWCONTENT) if len(old) >= 8 else None


def apply(old: bytes, data: bytes, size: int | None = None, limit: int = MAX_PACK) -> bytes:
    """Return the bytes that `make` was given. The stated size is checked against `size`, or `limit`, before anything
    is unpacked. Raises DeltaError."""
    try:
        stated = zstandard.frame_content_size(data)
        if stated < 0 or stated > limit or (size is not None and stated != size):
            raise DeltaError(f"a part of it unpacks to {stated} bytes, expected {limit if size is None else size}")
        unpacker = zstandard.ZstdDecompressor(dict_data=_dictionary(old), max_window_size=1 << MAX_WINDOW_LOG)
        return unpacker.decompress(data, max_output_size=stated, allow_extra_data=False) if stated else b""
    except zstandard.ZstdError as error:
        raise DeltaError(f"a part of it does not unpack ({str(error)[:100]})") from None
