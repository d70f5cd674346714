"""A whole centre from its settings: the service, jobs, chores, and what the routes need, started and stopped as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog

from central import service as services
from central.annotate import auto, editing, profile
from central.api import passwords
from central.api.access import LoginGate
from central.api.chores import Chores
from central.api.context import Centre
from central.api.fleet import ServiceFleet
from central.api.ledger import Ledger
from central.api.watch import Watch
from central.api.webhooks import Hooks
from central.jobs import rounds
from central.jobs.queue import JobQueue
from central.releases.rollout.advance import Engine
from central.servers.changes import KINDS
from central.service import Service
from central.settings import Settings
from edge.runtime import packs
from protocols.pack import PackError

log = structlog.get_logger("central.centre")
LEARNING: Final = "learning"
"""The duty of whoever starts rounds, proposes and orders by itself."""
HOOKS: Final = "webhooks"
RESUME_S: Final = 15.0
"""Between looks for rounds whose server died."""
PROFILE_S: Final = 2.0
"""Between looks at whether the profile was edited at another server."""


async def _know_base(service: Service) -> None:
    """Have the pack that nodes start with in the registry: it is what one rolls back to."""
    try:
        await service.register(await asyncio.to_thread(packs.find, packs.BASE, packs.cache()))
    except (PackError, OSError) as error:
        log.warning("the base pack is not in the registry", reason=str(error))


async def _assemble(settings: Settings, service: Service, project: profile.Profile) -> tuple[Centre, JobQueue]:
    vault = {
        "database_url": settings.database, "blob_url": settings.blob_url, "blob_folder": str(settings.data / "blobs"),
    }  # fmt: skip
    jobs = JobQueue(
        service.database, settings.data / "jobs", settings.jobs, service.identity.id, vault,
        lambda: service.notify.emit("job"), settings.jobs_cpus,
    )  # fmt: skip
    await jobs.recover()
    fleet = ServiceFleet(service, settings.snapshot_timeout_s)
    gate, ledger = LoginGate(), Ledger(service.database) if service.shared else None
    made = Centre(
        settings, service.database, service.blobs, project, jobs, fleet, gate, service.notify, ledger, service.duties,
        service.drain, service.shelf.fetch,
    )  # fmt: skip
    return made, jobs


def _rounds(centre: Centre) -> rounds.Rounds:
    return rounds.Rounds(centre.database, centre.jobs, centre.notifier, centre.settings.data, centre.fleet.register)


async def _go_on(centre: Centre, interrupted: bool = False) -> None:
    """Go on with the round that an earlier server left running, or one that died."""
    found = await _rounds(centre).resume(rounds.settings_of(centre.settings), interrupted)
    if found is not None:
        log.info("a round goes on where it was ended", round=found)


async def _go_on_for_all(centre: Centre) -> None:
    """Go on with rounds of servers that ended or died, until cancelled."""
    await _go_on(centre)
    while True:
        await asyncio.sleep(RESUME_S)
        await _go_on(centre, interrupted=True)


async def _follow_profile(centre: Centre) -> None:
    """Have the profile here as it was edited at another server, until cancelled."""
    while True:
        await follow_profile(centre)
        await asyncio.sleep(PROFILE_S)


async def follow_profile(centre: Centre) -> bool:
    """Take the profile as it was edited last, where this server has another one; return whether it had."""
    row = await centre.database.run_read(editing.latest)
    if row is None:
        return False
    newest = profile.Profile.model_validate(row.profile)
    if newest == centre.profile or newest.base != centre.settings.profile:
        return False
    async with centre.editing:
        await asyncio.to_thread(profile.save, newest, centre.settings.data)
        centre.profile = newest
    log.info("the profile was edited at another server", version=row.version)
    return True


def _engine(service: Service) -> Engine:
    """Return what takes releases through the fleet of `service`."""
    return Engine(
        service.database, service.offers, service.signing.withdraw, service.notify, lambda: service.link.connected
    )


@asynccontextmanager
async def open_centre(
    settings: Settings, on_first_password: Callable[[str], None] = lambda _password: None
) -> AsyncIterator[Centre]:
    """Start the centre that `settings` describe, for as long as the block lasts.

    `on_first_password` gets the one-time password of `admin` where nobody could log in yet; it is kept nowhere.
    Raises ProfileError, DatabaseError, BlobError, BrokerError, LinkError, OSError.
    """
    project = profile.current(settings)
    async with AsyncExitStack() as stack:
        service = await services.start(settings)
        stack.push_async_callback(service.stop)
        centre, jobs = await _assemble(settings, service, project)
        stack.push_async_callback(jobs.close)
        jobs.followers[rounds.FUNCTION] = _rounds(centre).follower
        await _know_base(service)
        if service.shared:
            await follow_profile(centre)
        else:
            await _go_on(centre)
        password = await passwords.first_admin(service.database)
        if password is not None:
            on_first_password(password)
        service.spawn(jobs.run, "jobs")
        _set_to_work(centre, service)
        yield centre


async def _tell_hooks(hooks: Hooks, service: Service) -> None:
    """Tell other programs of changes; of every kind at once where another server did it before, and may have ended
    between a change and its telling."""
    if service.duties.held.get(HOOKS, 1) > 1:
        await hooks.tell(set(KINDS))
    await hooks.run(service.notify)


def _set_to_work(centre: Centre, service: Service) -> None:
    """Start what a centre does by itself; of several servers, each of it at one."""
    settings, duties = centre.settings, service.duties
    chores = Chores(centre, service.offers.tell_all, service.shelf.fetch)
    service.lead(chores.watch_releases, "releases")
    service.lead(lambda: chores.rollouts(_engine(service)), "rollouts")
    duties.add(LEARNING, chores.run, "chores")
    duties.add(LEARNING, chores.sweep, "sweep")
    duties.add(LEARNING, Watch(centre).run, "watch")
    if service.shared:
        duties.add(LEARNING, lambda: _go_on_for_all(centre), "resume")
        service.spawn(lambda: _follow_profile(centre), "profile")
    hooks = Hooks(service.database, settings.webhook_hosts)
    duties.add(HOOKS, lambda: _tell_hooks(hooks, service))
    if settings.auto_review:
        review = partial(
            auto.run, service.database, service.notify, lambda: centre.profile.label_names, settings.auto_confidence
        )
        duties.add("review", review)
