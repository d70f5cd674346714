"""Signed releases by The Update Framework (TUF, specification 1.0, by python-tuf): nothing runs that was not signed.

keys      key pairs on disk
sign      the centre's side: root, targets, snapshot and timestamp, and what each of them says
verify    the node's side: is this release what the centre signed, and is it the newest that there is

Root keys make other keys count and lie offline. The centre's online key signs which packs there are (targets), which
of these statements belong together (snapshot), and that they are still the newest (timestamp, renewed all the time).
The files travel under ``trust/``; a pack is the target ``packs/<address>.wpack``, which names the releases that it is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

FOLDER: Final = "trust"
"""First part of the name by which a node fetches a file of metadata, and the folder where either side keeps them."""
TIME: Final = "time"
"""First part of the name of a question for the time; the rest is the node's nonce."""
ROOT_LIFETIME: Final = timedelta(days=365)
TARGETS_LIFETIME: Final = timedelta(days=90)
SNAPSHOT_LIFETIME: Final = timedelta(days=14)
TIMESTAMP_LIFETIME: Final = timedelta(days=2)
"""How long a node may be kept from news, at most, before it notices."""
RENEW_SHARE: Final = 0.5
"""Share of its lifetime after which metadata is signed anew."""
MAX_METADATA: Final = 5_000_000
"""Bytes of one file of metadata: some ten thousand packs."""


class TrustError(Exception):
    """A release that must not be installed, or metadata that cannot be signed. The text names the attack or cause."""


def target_path(address: str) -> str:
    """Return the path of the pack with `address` among the targets."""
    return f"packs/{address}.wpack"
