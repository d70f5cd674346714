"""The nodes through the running service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from central.api.context import Action, FleetError
from central.api.metrics import Traffic
from central.link import BrokerAddress, LinkError
from central.releases.offers import ReleaseError
from central.service import Service
from protocols.messages import Reply
from protocols.pack import Pack


class ServiceFleet:
    """The fleet that `service` is connected to; `timeout_s` is how long a command may take, seconds."""

    def __init__(self, service: Service, timeout_s: float) -> None:
        self._service, self._timeout_s = service, timeout_s

    async def command(self, node: str, action: Action, camera: str = "") -> Reply:
        """Ask something of `node`. Raises FleetError where it does not answer in time."""
        try:
            return await self._service.command(node, action, camera, self._timeout_s)
        except LinkError as error:
            raise FleetError(str(error)) from None

    async def register(self, pack: Pack) -> None:
        """Take `pack` into the registry. Raises PackError, OSError."""
        await self._service.register(pack)

    async def release(self, address: str, by: str, notes: str) -> int:
        """Offer the registered pack at `address` to every node. Raises FleetError."""
        try:
            return (await self._service.release(address, by, notes)).number
        except ReleaseError as error:
            raise FleetError(str(error)) from None

    async def tell(self) -> None:
        """Tell every node what counts for it now."""
        await self._service.tell_nodes()

    def node_login(self, node: str) -> BrokerAddress:
        """Return the broker's address with the login of `node`, drawn on first use. Raises TopicError."""
        return self._service.broker.node(node)

    def traffic(self) -> Traffic:
        """Return what this server counted of what nodes send."""
        service = self._service
        workers = () if service.workers is None else service.workers.counters.values()
        return Traffic([asdict(service.consumer.counters), *workers], asdict(service.link.counters))

    def problems(self) -> Sequence[str]:
        """Say that there is no connection, where there is none."""
        return () if self._service.link.connected else ("no connection to the broker; trying again",)
