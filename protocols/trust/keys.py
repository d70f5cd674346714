"""Ed25519 key pairs: PEM files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from protocols import files
from protocols.trust import TrustError

PRIVATE: Final = 0o600
FOLDER_MODE: Final = 0o700
MAX_KEY: Final = 16_384
"""Bytes of a key file; a real one has about 120."""


def make(path: Path) -> CryptoSigner:
    """Make a key pair, keep its private part in `path` (mode 0600), return it. Never overwrites; raises TrustError."""
    if path.exists():
        raise TrustError(f"{path}: there is a key already; keys are never overwritten")
    signer = CryptoSigner.generate_ed25519()
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    # Made under its final mode: at no moment can anybody else read it.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(signer.private_bytes)
        file.flush()
        os.fsync(file.fileno())
    files.sync_folder(path.parent)
    return signer


def load(path: Path) -> CryptoSigner:
    """Return the key pair whose private part is in `path`. Raises TrustError."""
    try:
        if path.stat().st_size > MAX_KEY:
            raise TrustError(f"{path}: too large for a key")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise TrustError(f"{path}: the key cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TrustError(f"{path}: not a private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(f"{path}: not an Ed25519 key")
    return CryptoSigner(key)
