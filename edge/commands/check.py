"""``wayside-edge config check``: beyond what the settings themselves refuse, what this machine does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.config import NodeConfig
from edge.runtime.packs import BASE


def absent(config: NodeConfig) -> list[str]:
    """Return a line for each file that `config` names and that is not here; right where it runs elsewhere."""
    return [f"{key}: {path} is not on this machine" for key, path in _files(config) if not path.exists()]


def _files(config: NodeConfig) -> Iterator[tuple[str, Path]]:
    tls = config.mqtt.tls
    for key in ("ca", "cert", "key"):
        path = getattr(tls, key, None)
        if path is not None:
            yield f"mqtt.tls.{key}", path
    packs = {"model.pack": config.model.pack}
    packs |= {f"redact.detectors.{i}.pack": d.pack for i, d in enumerate(config.redact.detectors)}
    yield from ((key, Path(pack)) for key, pack in packs.items() if pack != BASE)
    for name, camera in config.cameras.items():
        if camera.source.startswith("/"):
            yield f"cameras.{name}.source", Path(camera.source)
