"""What an operator may ask of a node: snapshot, pause, resume, restart. A command is answered, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from edge.camera import Camera
from protocols.messages import Command, Reply, utc_now

log = structlog.get_logger("edge.commands")


class HangsError(Exception):
    """A camera that cannot be connected anew."""


def answer(command: Command, node: str, cameras: Mapping[str, Camera]) -> Reply:
    """Carry out `command` on the camera that it names, or on all, and return the reply.

    ``restart`` of a camera connects it anew; without a camera the caller restarts the whole node."""
    if command.camera and command.camera not in cameras:
        return _reply(command, node, False, f"no camera {command.camera[:64]!r}; there are: {', '.join(cameras)}")
    chosen = [cameras[command.camera]] if command.camera else list(cameras.values())
    try:
        if command.action == "snapshot":
            return _snapshot(command, node, chosen)
        if command.action == "restart" and not command.camera:
            return _reply(command, node, True, "restarting")
        for camera in chosen:
            _act(command, camera)
    except HangsError as error:
        return _reply(command, node, False, str(error))
    except Exception as error:
        # The boundary to an operator: a command that fails is answered so, and costs nothing else.
        log.exception("a command failed", action=command.action)
        return _reply(command, node, False, f"{type(error).__name__}: {error}")
    return _reply(command, node, True, f"{command.action}: {', '.join(c.name for c in chosen)}")


def _act(command: Command, camera: Camera) -> None:
    if command.action == "pause":
        camera.reader.pause()
    elif command.action == "resume":
        camera.reader.resume()
    elif not camera.restart():
        raise HangsError(f"{camera.name} hangs in its driver; restart the whole node")


def _snapshot(command: Command, node: str, chosen: list[Camera]) -> Reply:
    for camera in chosen:
        image = camera.thumbnail()
        if image is not None:
            return _reply(command, node, True, "", camera.name, image)
    return _reply(command, node, False, "no frame yet; the camera is not watching")


def _reply(command: Command, node: str, ok: bool, detail: str, camera: str = "", image: bytes = b"") -> Reply:
    return Reply(
        id=command.id,
        node=node,
        camera=camera or command.camera[:64],
        ok=ok,
        detail=detail[:2000],
        time=utc_now(),
        image=image,
    )
