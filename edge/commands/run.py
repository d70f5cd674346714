"""``wayside-edge run``: from file and flags to a configuration, and the node's life in this process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from edge import enrolment
from edge.config import NodeConfig, load, parse
from edge.link import LinkError
from edge.yamlfile import ConfigError


def cameras_of(arguments: list[str], loop: bool, fps: float | None, paced: bool) -> dict[str, Any]:
    """Return the cameras that ``--camera NAME=SOURCE`` flags name. Raises ConfigError."""
    cameras: dict[str, Any] = {}
    for argument in arguments:
        name, mark, source = argument.partition("=")
        if not mark or not source or not name:
            raise ConfigError([f"--camera {argument}: write NAME=SOURCE, such as gate=rtsp://10.0.0.5/stream"])
        if name in cameras:
            raise ConfigError([f"--camera {name}: stands here twice"])
        cameras[name] = {"source": source, "loop": loop, "paced": paced, **({"fps": fps} if fps else {})}
    return cameras


def merge(file: Path | None, flags: dict[str, Any]) -> NodeConfig:
    """Return the configuration in `file` with `flags` (nested, only what was given) on top. Raises ConfigError."""
    config = load(file) if file else parse("{}", "flags")
    if not flags:
        return config
    base = config.model_dump(exclude_unset=True)
    try:
        return NodeConfig.model_validate(enrolment.expand(_deep(base, flags)))
    except ValueError as error:
        raise ConfigError([_one_line(error)]) from None


def _deep(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _deep(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _one_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors()[0]
    return f"--{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"


def broker_flags(broker: str | None) -> dict[str, Any]:
    """Return the mqtt settings that ``--broker HOST[:PORT]`` stands for. Raises ConfigError."""
    if not broker:
        return {}
    host, mark, port = broker.rpartition(":") if not broker.endswith("]") else (broker, "", "")
    if not mark:
        return {"host": broker.strip("[]")}
    if not port.isdigit() or not host:
        raise ConfigError([f"--broker {broker}: write HOST or HOST:PORT"])
    return {"host": host.strip("[]"), "port": int(port)}


def read_password(file: Path | None) -> dict[str, Any]:
    """Return the password in `file`, its first line. Raises ConfigError."""
    if file is None:
        return {}
    try:
        return {"password": file.read_text(encoding="utf-8").split("\n", 1)[0]}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"--password-file {file}: cannot be read ({reason})"]) from None


def run(config: NodeConfig, once: bool) -> tuple[str, dict[str, Any]]:
    """Run the node of `config` until a signal, or `once`. Returns how it ended and what it did. Raises NodeError."""
    from edge.node import NodeError, broker_of, build

    broker = broker_of(config)
    if broker.tls:
        try:
            broker.tls.context()
        except LinkError as error:
            raise NodeError(str(error)) from None
    agent = build(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    try:
        ending = agent.run(once=once)
    except OSError as error:
        raise NodeError(
            f"metrics.port {config.metrics.port}: cannot be used ({error.strerror}); choose another"
        ) from None
    failed = {n: c.reader.detail for n, c in agent.cameras.items() if c.reader.state == "failed"}
    return ending, {
        "node": config.node, "ending": ending, "failed": failed,
        "frames": sum(c.meter.frames for c in agent.cameras.values()),
        "selected": sum(c.meter.selected for c in agent.cameras.values()),
        "receipted": agent.spool.counters.receipted, "bytes": agent.spool.counters.receipted_bytes,
        "waiting": len(agent.spool), "pack": agent.running().address,
    }  # fmt: skip
