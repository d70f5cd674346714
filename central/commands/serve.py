"""``serve``: the centre and its face in one process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
import uvicorn
from rich.console import Console
from rich.panel import Panel

from central import logs
from central.api.app import create_app
from central.api.centre import open_centre
from central.api.context import Centre
from central.commands.common import CommandError
from central.settings import Settings

log = structlog.get_logger("central.serve")
BACKLOG: Final = 512
"""Connections that wait to be accepted."""
GRACE_S: Final = 10
"""Seconds that requests get to end. Event streams are ended before."""
HAND_OVER_S: Final = 20.0
"""Seconds for the other servers to be given what this one does; then it ends all the same, and they take it."""


def set_up_logs(form: logs.Format = "text") -> None:
    """Log to standard error as `form` says."""
    logs.set_up(form)


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens where `settings` say. Raises CommandError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((settings.host, settings.port))
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        why = {
            errno.EADDRINUSE: "in use by another program; end it, or give another --port",
            errno.EACCES: "not allowed for this user; give a --port above 1023",
        }.get(error.errno or 0, error.strerror or str(error))
        raise CommandError(f"port {settings.port} on {settings.host}: {why}") from None
    return server


class _Server(uvicorn.Server):
    """A server whose signals are ours: the first one ends it, and what it serves ends with it in order."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as in uvicorn
        """Leave the signals alone."""
        yield


def make_server(centre: Centre) -> uvicorn.Server:
    """Return the HTTP server of a running `centre`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Centre]:
        yield centre

    config = uvicorn.Config(
        create_app(opened), lifespan="on", log_config=None, log_level="critical", access_log=False,
        server_header=False, timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(centre.settings.proxies), forwarded_allow_ips=centre.settings.proxies,
    )  # fmt: skip
    return _Server(config)


async def serve(settings: Settings, on_password: Callable[[str], None], on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. Raises CommandError and what `open_centre` raises."""
    with contextlib.closing(listen(settings)) as sock:
        async with open_centre(settings, on_password) as centre:
            server = make_server(centre)
            loop, ending = asyncio.get_running_loop(), set[asyncio.Task[None]]()

            def asked() -> None:
                if ending:
                    server.should_exit = True  # asked twice: at once
                else:
                    ending.add(asyncio.create_task(end(centre, server), name="end"))

            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, asked)
            on_ready()
            await server.serve(sockets=[sock])
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


async def end(centre: Centre, server: uvicorn.Server) -> None:
    """End in order: not ready any more, duties and traffic to the other servers, and only then the requests."""
    centre.draining = True
    if centre.hand_over is not None:
        try:
            await asyncio.wait_for(centre.hand_over(), HAND_OVER_S)
        except TimeoutError:
            log.warning("not everything could be handed over in time; other servers will take it")
    await asyncio.sleep(centre.settings.drain_s)
    centre.notifier.end()
    server.should_exit = True


def announce(settings: Settings, password: str | None) -> None:
    """Tell the person where the UI is, and the one-time password where there is one."""
    console = Console(stderr=True, highlight=False)
    lines = [f"UI and API   {settings.url}", f"Data         {settings.data}"]
    if password is not None:
        lines += [
            "",
            "Log in as    admin",
            f"Password     {password}",
            "It is shown this once; choose your own in the UI.",
        ]
    console.print(Panel("\n".join(lines), title="Wayside", expand=False))


def run(settings: Settings) -> None:
    """The command."""
    set_up_logs(settings.log_format)
    first: list[str] = []
    asyncio.run(serve(settings, first.append, lambda: announce(settings, first[0] if first else None)))
