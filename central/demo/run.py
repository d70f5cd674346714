"""The demo as a whole: starts the centre in this process and the nodes beside it, and ends all of it together."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from rich.console import Console
from rich.live import Live

from central.annotate.client import Client, ClientError
from central.api import passwords
from central.api.centre import open_centre
from central.api.context import Centre
from central.api.schemas import Overview
from central.commands.common import CommandError
from central.commands.serve import listen, make_server, set_up_logs
from central.demo import cameras, once, screen
from central.demo.cameras import Watched
from central.demo.conductor import Conductor
from central.demo.nodes import NodeProcess, Pace
from central.releases.signing import FIRST_ROOT
from central.settings import DEFAULT_DATA, Settings
from central.store.models import User
from edge.runtime import packs
from protocols import trust

DATA: Final = Path(".wayside/demo")
LOOP_DATA: Final = Path(".wayside/loop")
CONDUCTOR: Final = "demo"
"""The account that the demo itself works with; its password is drawn anew at every start."""
DEMO_PACE: Final = Pace(fps=5.0, frames_per_hour=600.0)
"""Slow enough that two nodes, the centre and a training round share two cores."""
LOOK_S: Final = 1.0
QUIET_S: Final = 15.0
"""Between lines where the standard error is not a terminal."""


@dataclass
class Running:
    """A demo that runs."""

    settings: Settings
    centre: Centre
    server: uvicorn.Server
    nodes: list[NodeProcess]
    client: Client
    first_password: str | None


async def _account(centre: Centre) -> str:
    """Give the demo's own account a new password and return it."""
    password = passwords.one_time()
    hashed = await passwords.hash_password(password)
    async with centre.database.write() as session:
        if await session.get(User, CONDUCTOR) is None:
            await passwords.add(session, CONDUCTOR, "engineer", hashed)
        else:
            await passwords.set_password(session, CONDUCTOR, hashed)
    return password


def _nodes(settings: Settings, centre: Centre, watched: list[Watched], pace: Pace) -> list[NodeProcess]:
    by_node: dict[str, list[Watched]] = defaultdict(list)
    for camera in watched:
        by_node[camera.node].append(camera)
    return [
        NodeProcess(
            name, own, settings.data / "nodes" / name, centre.fleet.node_login(name), settings.prefix, pace,
            settings.pack, settings.data / trust.FOLDER / FIRST_ROOT,
        )
        for name, own in by_node.items()
    ]  # fmt: skip


@asynccontextmanager
async def started(settings: Settings, watched: list[Watched], pace: Pace) -> AsyncIterator[Running]:
    """Start broker, centre and nodes; end them, nodes first, when the block ends. Raises what serving raises."""
    first: list[str] = []
    with contextlib.closing(listen(settings)) as sock:
        async with open_centre(settings, first.append) as centre:
            password = await _account(centre)
            server = make_server(centre)
            serving = asyncio.create_task(server.serve(sockets=[sock]), name="server")
            client: Client | None = None
            nodes = _nodes(settings, centre, watched, pace)
            try:
                while not server.started and not serving.done():
                    await asyncio.sleep(0.05)
                client = await asyncio.to_thread(Client.login, settings.url, CONDUCTOR, password)
                for node in nodes:
                    await node.start()
                yield Running(settings, centre, server, nodes, client, first[0] if first else None)
            finally:
                await asyncio.gather(*(node.stop() for node in nodes), return_exceptions=True)
                if client is not None:
                    client.close()
                server.should_exit = True
                await asyncio.gather(serving, return_exceptions=True)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _login_lines(password: str | None) -> list[str]:
    if password is None:
        return ["log in as admin with the password of the first start, or: wayside-central user reset admin --data ..."]
    return [f"log in as admin, password {password}  (made for this demo, shown only now)"]


def _plain(overview: Overview, said: str) -> str:
    totals, latest = overview.totals, overview.round
    learning = f", {latest.id} {latest.state} {latest.progress:.0%}" if latest else ""
    on = ", ".join(f"{n.node} {n.state} on {f'release {n.release}' if n.release else 'base'}" for n in overview.nodes)
    return f"{totals.frames} frames, {totals.pending} waiting, {totals.labelled} labelled{learning}; {on}; {said}"


async def _show(running: Running, stop: asyncio.Event, console: Console) -> None:
    """Keep the loop going and the screen true until `stop`."""
    conductor = Conductor(running.client)
    login, last = _login_lines(running.first_password), 0.0
    if not console.is_terminal:
        console.print(f"UI  {running.settings.url}", *login, sep="\n")
    screened = Live(console=console, auto_refresh=False) if console.is_terminal else contextlib.nullcontext()
    with screened as live:
        while not stop.is_set():
            overview: Overview | None = None
            try:
                overview = await asyncio.to_thread(conductor.step)
            except ClientError as error:
                conductor.said = str(error)
            if live is not None:
                live.update(screen.draw(overview, running.settings.url, login, conductor.said), refresh=True)
            elif overview is not None and time.monotonic() - last > QUIET_S:
                last = time.monotonic()
                console.print(_plain(overview, conductor.said))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)


async def _demo(settings: Settings, watched: list[Watched], console: Console) -> int:
    stop = _stop_on_signals()
    async with started(settings, watched, DEMO_PACE) as running:
        await _show(running, stop, console)
        console.print("stopping ...")
    return 0


async def _once(settings: Settings, watched: list[Watched], job: once.Job, console: Console) -> dict[str, Any] | None:
    stop = _stop_on_signals()
    async with started(settings, watched, once.PACE) as running:
        return await once.round_the_loop(running.client, running.nodes, settings.data, job, stop, console)


@dataclass(frozen=True)
class Wish:
    """What the command was asked for."""

    video: str | None = None
    truth: Path | None = None
    auto: bool = False
    frames: int = once.WANTED
    """Labelled frames that the round of `one_round` waits for."""
    one_round: bool = False
    as_json: bool = False


def _settled(settings: Settings, wish: Wish) -> Settings:
    """Return `settings` for the demo: folder made, pack found, review as asked for. Raises CommandError, PackError."""
    if settings.data == DEFAULT_DATA.absolute():
        place = LOOP_DATA / secrets.token_hex(4) if wish.one_round else DATA
        settings = settings.model_copy(update={"data": place.absolute()})
    settings.packs.mkdir(parents=True, exist_ok=True, mode=0o700)
    packs.find(settings.pack, settings.packs)
    changes = {"auto_review": wish.truth is None, "propose": False} if wish.one_round else {"auto_review": wish.auto}
    return settings.model_copy(update=changes)


def run(settings: Settings, wish: Wish) -> int:
    """Run the demo until a signal, or once round the loop; return the exit status. Raises CommandError and others."""
    set_up_logs()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if wish.truth is not None and (wish.video is None or not wish.one_round):
        raise CommandError("--truth answers in place of a person; it goes with --once and its --video")
    cache = Path(".wayside/samples").absolute()
    reviewed = not wish.auto and not wish.one_round
    watched = cameras.given(wish.video) if wish.video else cameras.samples(cache, console.print, reviewed)
    job = once.prepare(watched, wish.truth, wish.frames)
    settings = _settled(settings, wish)
    if not wish.one_round:
        return asyncio.run(_demo(settings, watched, console))
    answer = asyncio.run(_once(settings, watched, job, console))
    if answer is None:
        return 1
    once.tell(answer, wish.as_json, console)
    return 0 if answer["ok"] else 1
