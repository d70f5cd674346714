"""OpenStack Swift with its S3 API as one family of processes: ``python -m tests.servers.swift_process FOLDER``.

    FOLDER/settings.json   ports, region, user
    FOLDER/etc             from it: Swift's own settings, rings
    FOLDER/disk            what it stores, synced, and there again after a restart

Proxy, account, container and object server are Swift's own, each in a process; a city runs them on many machines.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

PARTS: Final = ("account", "container", "object")
RING: Final = {"account": "account", "container": "container", "object": "object"}
PART_POWER: Final = 4
"""Sixteen partitions: enough for one disk."""
DEVICE: Final = "d1"
DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG."""
LOOK_S: Final = 2.0
LISTED: Final = 20
"""Keys of one answer, where S3 gives a thousand: whoever does not turn the page is found out by few keys."""
DISK: Final = """[DEFAULT]
swift_dir = {etc}
devices = {disk}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
log_level = ERROR
[pipeline:main]
pipeline = {part}-server
[app:{part}-server]
use = egg:swift#{part}
fallocate_reserve = 0
"""
PROXY: Final = """[DEFAULT]
swift_dir = {etc}
bind_ip = 127.0.0.1
bind_port = {port}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors healthcheck memory s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:memory]
paste.filter_factory = tests.servers.swift_process:memory
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = {region}
max_bucket_listing = {listed}
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
"""
FILTERS: Final = ("catch_errors", "healthcheck", "copy", "slo", "dlo")


class Memory:
    """What Swift's memcached would remember, in this process: what is known about buckets, for a short while."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def get(self, key: str, **_: Any) -> Any:
        """Return what is held, or None."""
        return self._held.get(key)

    def set(self, key: str, value: Any, **_: Any) -> None:
        """Hold `value`."""
        self._held[key] = json.loads(json.dumps(value))

    def delete(self, key: str, **_: Any) -> None:
        """Forget `key`."""
        self._held.pop(key, None)


def memory(_: Any, **__: Any) -> Any:
    """Return the filter that gives every request the same `Memory`."""
    held = Memory()

    def wrap(app: Any) -> Any:
        def call(env: dict[str, Any], start: Any) -> Any:
            env["swift.cache"] = held
            return app(env, start)

        return call

    return wrap


def _rings(etc: Path, ports: dict[str, int]) -> None:
    from swift.common.ring import RingBuilder

    for part in PARTS:
        if (etc / f"{RING[part]}.ring.gz").exists():
            continue
        builder = RingBuilder(PART_POWER, 1, 0)
        builder.add_dev(
            {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[part], "device": DEVICE, "weight": 1.0,
             "replication_ip": "127.0.0.1", "replication_port": ports[part]}
        )  # fmt: skip
        builder.rebalance()
        builder.get_ring().save(str(etc / f"{RING[part]}.ring.gz"))


def prepare(folder: Path, settings: dict[str, Any]) -> Path:
    """Write Swift's own settings below `folder`, as `settings` say, and return their folder."""
    etc, disk = folder / "etc", folder / "disk"
    etc.mkdir(parents=True, exist_ok=True)
    (disk / DEVICE).mkdir(parents=True, exist_ok=True)
    (etc / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    ports = settings["ports"]
    for part in PARTS:
        (etc / f"{part}-server.conf").write_text(DISK.format(etc=etc, disk=disk, port=ports[part], part=part))
    text = PROXY.format(etc=etc, port=ports["proxy"], listed=LISTED, **settings["s3"])
    text += "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)
    (etc / "proxy-server.conf").write_text(text)
    return etc


def _serve(part: str, etc: Path, listening: Any) -> None:
    """Run one of Swift's servers, until killed."""
    from swift.common.utils import get_logger
    from swift.common.wsgi import run_server

    conf = {"__file__": str(etc / f"{part}-server.conf"), "log_level": "ERROR"}
    run_server(conf, get_logger(conf, part), listening)


def _child(part: str, etc: Path, listening: Any) -> None:
    """Run one of Swift's servers in a process that dies with this one."""
    if os.fork():
        listening.close()
        return
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    try:
        _serve(part, etc, listening)
    finally:
        os._exit(1)


def _watch(parent: int) -> None:
    """End with `parent`, however that ended: a test that was killed closes nothing."""

    def look(*_: Any) -> None:
        if os.getppid() != parent:
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)


def main() -> None:
    """Serve until killed, or until whoever started it is gone."""
    parent = os.getppid()
    import eventlet
    from swift.common.utils import set_swift_dir

    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text())
    etc = prepare(folder, settings)
    set_swift_dir(str(etc))
    _rings(etc, settings["ports"])
    listening = {part: eventlet.listen(("127.0.0.1", port), backlog=512) for part, port in settings["ports"].items()}
    for each in listening.values():
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as Swift's own start does: else 40 ms an answer
    for part in PARTS:
        _child(part, etc, listening[part])
    _watch(parent)
    _serve("proxy", etc, listening["proxy"])


if __name__ == "__main__":
    import eventlet

    eventlet.monkey_patch()
    main()
