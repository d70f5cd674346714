"""The node's verification behind the command line of TUF's public conformance suite (tuf-conformance, CLIENT-CLI.md).

    pytest tuf_conformance --entrypoint "python tests/conformance/client.py"

The suite is not part of this project: check it out beside it, as docs/engineer.md says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from edge.update.fetchers.https import HttpsFetcher
from protocols.trust import FOLDER, TIME, TrustError
from protocols.trust.verify import MissingError, Verifier

BOOTSTRAP = "bootstrap"


class Reader:
    """Reads metadata below the suite's address."""

    def __init__(self, folder: Path, url: str) -> None:
        self._fetcher = HttpsFetcher(folder, url)

    def read(self, name: str, limit: int) -> bytes:
        """Return a file of metadata; nobody tells the time here."""
        kind, _, rest = name.partition("/")
        if kind == TIME:
            raise MissingError(name)
        return self._fetcher.read(rest, limit)


def _download(target: TargetFile, folder: Path, url: str) -> None:
    path = folder / quote(target.path, "")
    if path.is_file():
        try:
            target.verify_length_and_hashes(path.read_bytes())
            return
        except LengthOrHashMismatchError:
            pass
    place, _, name = target.path.rpartition("/")
    name = f"{next(iter(target.hashes.values()))}.{name}"
    data = HttpsFetcher(folder, url).read(f"{place}/{name}" if place else name, target.length)
    target.verify_length_and_hashes(data)
    path.write_bytes(data)


def main() -> int:
    """Run one command; 0 where it succeeded."""
    parser = argparse.ArgumentParser()
    for name in ("--metadata-dir", "--metadata-url", "--target-dir", "--target-base-url"):
        parser.add_argument(name)
    parser.add_argument("--target-name", action="append")
    parser.add_argument("command", choices=["init", "refresh", "download"])
    parser.add_argument("trusted_root", nargs="?")
    given = parser.parse_args()
    folder = Path(given.metadata_dir)
    if given.command == "init":
        root = Path(given.trusted_root).read_bytes()
        (folder / "root.json").write_bytes(root)
        folder.with_name(f"{folder.name}.{BOOTSTRAP}").write_bytes(root)
        return 0
    bootstrap = folder.with_name(f"{folder.name}.{BOOTSTRAP}").read_bytes()
    assert urlsplit(given.metadata_url).hostname in ("localhost", "127.0.0.1", "::1")
    try:
        verifier = Verifier(folder, bootstrap, Reader(folder, given.metadata_url))
        # The suite looks at the files, so they lie where it wants them.
        verifier.folder, verifier.floor = folder, folder.with_name(f"{folder.name}.floor")
        updater = verifier.refresh()
        for name in given.target_name or [] if given.command == "download" else []:
            target = updater.get_targetinfo(name)
            if target is None:
                raise TrustError(f"{name}: nobody signed it")
            _download(target, Path(given.target_dir), given.target_base_url)
    except Exception as error:  # whatever fails, the suite wants a status
        print(f"{FOLDER}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
