"""A whole centre from its settings: the service, jobs, chores, and what the routes need, started and stopped as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog

from central import service as services
from central.annotate import auto, profile
from central.api import passwords
from central.api.access import LoginGate
from central.api.chores import Chores
from central.api.context import Centre
from central.api.fleet import ServiceFleet
from central.api.watch import Watch
from central.api.webhooks import Hooks
from central.jobs import rounds
from central.jobs.process import ProcessJobs
from central.releases.rollout.advance import Engine
from central.service import Service
from central.settings import Settings
from edge.runtime import packs
from protocols.pack import PackError

log = structlog.get_logger("central.centre")


async def _know_base(service: Service) -> None:
    """Have the pack that nodes start with in the registry: it is what one rolls back to."""
    try:
        await service.register(await asyncio.to_thread(packs.find, packs.BASE, packs.cache()))
    except (PackError, OSError) as error:
        log.warning("the base pack is not in the registry", reason=str(error))


async def _assemble(settings: Settings, service: Service, project: profile.Profile) -> tuple[Centre, ProcessJobs]:
    jobs = ProcessJobs(service.database, settings.data / "jobs")
    await jobs.recover()
    fleet = ServiceFleet(service, settings.snapshot_timeout_s)
    gate = LoginGate()
    return Centre(settings, service.database, service.blobs, project, jobs, fleet, gate, service.notify), jobs


async def _go_on(centre: Centre) -> None:
    """Go on with the round that an earlier server left running."""
    left = rounds.Rounds(centre.database, centre.jobs, centre.notifier, centre.settings.data, centre.fleet.register)
    found = await left.resume(rounds.settings_of(centre.settings))
    if found is not None:
        log.info("a round goes on where it was ended", round=found)


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
        await _know_base(service)
        await _go_on(centre)
        password = await passwords.first_admin(service.database)
        if password is not None:
            on_first_password(password)
        chores = Chores(centre, service.offers.tell_all)
        service.spawn(chores.run, "chores")
        service.spawn(Watch(centre).run, "watch")
        service.spawn(partial(chores.rollouts, _engine(service)), "rollouts")
        service.spawn(partial(Hooks(service.database, settings.webhook_hosts).run, service.notify), "webhooks")
        if settings.auto_review:
            review = partial(
                auto.run, service.database, service.notify, lambda: centre.profile.label_names, settings.auto_confidence
            )
            service.spawn(review, "review by nobody")
        yield centre
