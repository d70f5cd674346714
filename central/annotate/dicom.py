"""Pixels out of DICOM files, and nothing else.

    file -> look: size, frames, salted identity     header only
         -> pixels: stored values, and how to show them
         -> grey: one frame as people see it, 8 bits

Shown as the standard has it (PS3.3 C.11.2): modality rescale or table, then the window that is given, else the file's
own or its table, else the whole range; MONOCHROME1 is inverted, as its lowest value is white. Colour is shown as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from central.annotate.formats import FormatError
from central.annotate.images import MAX_AREA, MAX_PIXELS

MAX_FILE: Final = 2 * 1024**3
"""Bytes of one file; a long multi-frame run of ultrasound has 500 MB."""
MAX_FRAMES: Final = 10_000
"""Of one file."""
MAX_TOTAL: Final = 1_000_000_000
"""Pixels of all frames of one file, which are decoded together."""
DIGITS: Final = 32
"""Hexadecimal, of a salted hash: 128 bits."""


@dataclass(frozen=True)
class About:
    """What may be known of a file. `identity` and `series` are salted hashes; `place` is its number in the series."""

    identity: str
    series: str
    place: int
    frames: int
    width: int
    height: int


@dataclass(frozen=True)
class Pixels:
    """Decoded values ``[N, H, W]``, or ``[N, H, W, 3]`` RGB, and the header that says how to show them."""

    values: NDArray[Any]
    header: FileDataset


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the library say nothing: what it says about odd values holds those values, and they stay in the file."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _hash(salt: bytes, *parts: str) -> str:
    return hmac.new(salt, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:DIGITS]


def _whole(header: FileDataset, name: str, default: int) -> int:
    try:
        return int(header.get(name, default) or default)
    except (TypeError, ValueError, OverflowError):
        return default


def _read(file: Path, header_only: bool) -> FileDataset | None:
    """Return the data set in `file`, None where it is no DICOM file. Raises FormatError."""
    try:
        if file.stat().st_size > MAX_FILE:
            raise FormatError(f"{file}: more than {MAX_FILE} bytes")
        with _quiet():
            return pydicom.dcmread(file, stop_before_pixels=header_only)
    except InvalidDicomError:
        return None
    except FormatError:
        raise
    except OSError as error:
        raise FormatError(f"{file}: {error.strerror or 'cannot be read'}") from None
    except Exception as error:  # noqa: BLE001 - a foreign parser of hostile bytes raises whatever it meets
        raise FormatError(f"{file}: not a sound DICOM file ({type(error).__name__})") from None


def look(file: Path, salt: bytes) -> About | None:
    """Return what may be known of `file` by its header, None where it has no image. Raises FormatError."""
    with _quiet():
        try:
            return _look(file, salt)
        except FormatError:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign parser of hostile bytes raises whatever it meets
            raise FormatError(f"{file}: not a sound DICOM file ({type(error).__name__})") from None


def _look(file: Path, salt: bytes) -> About | None:
    header = _read(file, header_only=True)
    width, height = (0, 0) if header is None else (_whole(header, "Columns", 0), _whole(header, "Rows", 0))
    if header is None or not width or not height:
        return None
    frames = _whole(header, "NumberOfFrames", 1)
    if max(width, height) > MAX_PIXELS or width * height > MAX_AREA:
        raise FormatError(f"{file}: {width} x {height} pixels, more than {MAX_PIXELS} a side or {MAX_AREA} in all")
    if not 1 <= frames <= MAX_FRAMES or frames * width * height > MAX_TOTAL:
        raise FormatError(f"{file}: {frames} frames of {width} x {height} pixels; split it")
    uid = str(header.get("SOPInstanceUID", "")) or hashlib.sha256(file.read_bytes()).hexdigest()
    series = _hash(salt, "series", str(header.get("SeriesInstanceUID", "")) or uid)[:16]
    place = max(0, _whole(header, "InstanceNumber", 1) - 1) * frames
    return About(_hash(salt, "image", uid), series, min(place, 2**40), frames, width, height)


def pixels(file: Path) -> Pixels:
    """Return the decoded frames of `file`. Raises FormatError, for compressions that no plug-in decodes, too."""
    with _quiet():
        return _pixels(file)


def _pixels(file: Path) -> Pixels:
    header = _read(file, header_only=False)
    if header is None or "PixelData" not in header:
        raise FormatError(f"{file}: no pixels in it")
    syntax = header.file_meta.get("TransferSyntaxUID", None) if hasattr(header, "file_meta") else None
    try:
        values = pixel_array(header)
    except (RuntimeError, NotImplementedError, ImportError):
        name = getattr(syntax, "name", "unknown")
        raise FormatError(
            f"{file}: compressed as {name}, which nothing installed here decodes; pip install pylibjpeg "
            "pylibjpeg-libjpeg pylibjpeg-openjpeg, or convert it"
        ) from None
    except Exception as error:  # noqa: BLE001 - a foreign decoder of hostile bytes raises whatever it meets
        raise FormatError(f"{file}: its pixels cannot be decoded ({type(error).__name__})") from None
    colour = _whole(header, "SamplesPerPixel", 1) == 3
    if values.ndim == (3 if colour else 2):
        values = values[None]
    if str(header.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        values = _from_palette(file, values, header)
    return Pixels(values, header)


def _from_palette(file: Path, values: NDArray[Any], header: FileDataset) -> NDArray[Any]:
    try:
        table = np.asarray(apply_color_lut(values, header))
    except (ValueError, AttributeError, IndexError, KeyError):
        raise FormatError(f"{file}: its palette makes no sense") from None
    return table >> 8 if table.dtype == np.uint16 else table


def window(text: str | None) -> tuple[float, float] | None:
    """Return ``CENTRE,WIDTH`` as numbers. Raises FormatError."""
    if not text:
        return None
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise FormatError(f"window {text[:40]!r}: give CENTRE,WIDTH, for example 40,400") from None
    if not (math.isfinite(centre) and math.isfinite(width) and width >= 1):
        raise FormatError(f"window {text[:40]!r}: the width is at least 1")
    return centre, width


def grey(given: Pixels, frame: int, own: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return frame `frame` as ``[H, W, 3]`` BGR, 8 bits; `own` is a window in place of the file's."""
    values, header = given.values[frame], given.header
    if values.ndim == 3:
        palette = str(header.get("PhotometricInterpretation", "")) == "PALETTE COLOR"
        bits = 8 if palette else _whole(header, "BitsStored", 8)
        scaled = values if bits <= 8 else values >> (bits - 8)
        return np.ascontiguousarray(scaled[..., ::-1].astype(np.uint8))
    with _quiet():
        try:
            shown = _shown(values, header, own)
        except (ValueError, TypeError, IndexError, AttributeError, NotImplementedError, KeyError):
            shown = _stretched(values.astype(np.float64), None)  # a table or window that makes no sense
    if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        shown = 255 - shown
    return np.repeat(shown[..., None], 3, axis=2)


def _shown(values: NDArray[Any], header: FileDataset, own: tuple[float, float] | None) -> NDArray[np.uint8]:
    rescaled = np.asarray(apply_modality_lut(values, header))
    if own is not None:
        middle, half = own[0] - 0.5, (own[1] - 1) / 2  # PS3.3 C.11.2.1.2.1
        return _stretched(rescaled.astype(np.float64), (middle - half, middle + half))
    if "VOILUTSequence" not in header and "WindowCenter" not in header:
        return _stretched(rescaled.astype(np.float64), None)
    return _stretched(np.asarray(apply_voi_lut(rescaled, header), np.float64), _range_after(rescaled, header))


def _range_after(rescaled: NDArray[Any], header: FileDataset) -> tuple[float, float] | None:
    """Return what a window maps its ends to, as `apply_voi_lut` does: the range that the stored bits can have."""
    if "VOILUTSequence" in header:
        return None
    bits, signed = _whole(header, "BitsStored", 16), _whole(header, "PixelRepresentation", 0) == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, shift = float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0)
    if "ModalityLUTSequence" in header:
        return None
    return low * slope + shift, high * slope + shift


def _stretched(values: NDArray[np.float64], ends: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Return `values` with `ends`, else their own least and greatest, at 0 and 255."""
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = ends if ends is not None else (float(finite.min()), float(finite.max()))
    if high <= low:
        return np.zeros(finite.shape, np.uint8)
    return np.asarray(np.clip(np.rint((finite - low) / (high - low) * 255), 0, 255), np.uint8)
