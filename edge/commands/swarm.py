"""``wayside-edge swarm``: simulated nodes that load a centre and account for every frame."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.mqtt import Broker
from edge.swarm import run
from edge.swarm.mqtt import Login, Server
from edge.swarm.node import SIDE, Place
from edge.yamlfile import ConfigError


def small_jpeg(side: int = SIDE) -> bytes:
    """Return a small valid JPEG."""
    import numpy as np

    from edge.camera import encode_jpeg

    return encode_jpeg(np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8), 80)


def jpeg_of(size: int, seed: int = 0) -> bytes:
    """Return a small JPEG, padded after its pixels to `size` bytes where it is shorter."""
    image = small_jpeg()
    filling = random.Random(seed).randbytes(max(0, size - len(image)))
    # Comments (0xFFFE) before everything else hold at most 65,533 bytes each.
    comments = b"".join(
        b"\xff\xfe" + (len(part) + 2).to_bytes(2, "big") + part
        for part in (filling[i : i + 65_533] for i in range(0, len(filling), 65_533))
    )
    return image[:2] + comments + image[2:]


def read_passwords(path: Path | None) -> dict[str, str]:
    """Return the passwords by user of a JSON file, such as ``broker/users.json`` of a centre. Raises ConfigError."""
    if path is None:
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text()).items()}
    except OSError as error:
        raise ConfigError([f"--passwords {path}: {error.strerror}"]) from None
    except (ValueError, AttributeError):
        raise ConfigError([f"--passwords {path}: not a JSON object of user names and passwords"]) from None


def swarm(
    plan: run.Plan, broker: Broker, prefix: str, tell: Callable[[str], None], passwords: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run the swarm of `plan` and return its figures. A node without a password of its own uses the broker's login."""
    known = passwords or {}

    def login(node: str) -> Login:
        mine = node in known
        username, password = (node, known[node]) if mine else (broker.username, broker.password)
        return Login(f"wayside-{node}", username, password)

    server = Server(broker.host, broker.port, broker.tls.context() if broker.tls else None)
    place = Place.of(server, prefix, jpeg_of(plan.traffic.size))
    return asyncio.run(run.swarm(plan, place, login, tell))
