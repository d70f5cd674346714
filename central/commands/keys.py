"""``keys``: who may say what nodes run. Root keys are made once, kept offline, and needed only to replace keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from central.commands.common import Data, Json, load, plain_errors, result
from central.releases import signing
from protocols.messages import utc_now
from protocols.trust import TrustError, keys

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The keys that releases are signed with.")
MAX_ROOTS = 16
Root = Annotated[list[Path], typer.Option("--root", help="File of a root key; may be repeated.")]
Threshold = Annotated[int, typer.Option(min=1, max=MAX_ROOTS, help="How many root keys must sign to replace keys.")]


def _about(data: Path) -> dict[str, Any]:
    with signing.owned(data) as repository:
        root = repository.root.signed
        return {
            "root": root.version,
            "root_keys": sorted(root.roles["root"].keyids),
            "threshold": root.roles["root"].threshold,
            "online_key": root.roles["targets"].keyids[0],
            "expires": {
                "root": root.expires.isoformat(),
                "targets": repository.targets.signed.expires.isoformat(),
                "snapshot": repository.snapshot.signed.expires.isoformat(),
                "timestamp": repository.timestamp.signed.expires.isoformat(),
            },
            "packs": len(repository.targets.signed.targets),
            "first_root": str(data / "trust" / signing.FIRST_ROOT),
        }


def _told(about: dict[str, Any]) -> str:
    lines = [
        f"root {about['root']}: {about['threshold']} of {len(about['root_keys'])} root keys must sign",
        *(f"  root key   {key}" for key in about["root_keys"]),
        f"  online key {about['online_key']}",
        *(f"  {name} expires {when}" for name, when in about["expires"].items()),
        f"{about['packs']} packs are signed; nodes start from {about['first_root']}",
    ]
    return "\n".join(lines)


@app.command()
def init(root: Root, threshold: Threshold = 1, data: Data = None, as_json: Json = False) -> None:
    """Make root keys in files that you then keep offline, and the centre's online key. Before the centre's first start.

    Example: wayside-central keys init --root /media/a/root.pem --root /media/b/root.pem --threshold 2
    """
    with plain_errors(TrustError):
        folder = load(data=data).data
        signing.prepare(folder, root, threshold)
        about = _about(folder)
    result(about, as_json, _told(about))


@app.command()
def show(data: Data = None, as_json: Json = False) -> None:
    """Say which keys count, and when what they signed expires.

    Example: wayside-central keys show
    """
    with plain_errors(TrustError):
        about = _about(load(data=data).data)
    result(about, as_json, _told(about))


@app.command()
def rotate(
    root: Root,
    new_root: Annotated[
        list[Path] | None, typer.Option(help="File of a root key to make, instead of the old ones; may be repeated.")
    ] = None,
    threshold: Threshold = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Replace the online key, and the root keys where --new-root is given: after a theft, or once a year.

    Nodes follow by themselves. The centre must be stopped meanwhile.

    Example: wayside-central keys rotate --root /media/a/root.pem
    """
    with plain_errors(TrustError):
        folder = load(data=data).data
        old = [keys.load(path) for path in root]
        signing.rotate(folder, old, new_root or [], threshold, utc_now())
        about = _about(folder)
    result(about, as_json, _told(about))
