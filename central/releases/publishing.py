"""What is signed at one server, in the hands of all before any node is told.

    Signing (in a thread) -> Publisher -> rows, in a transaction that the duty confirms -> Signing goes on
                                       -> not ours to say, or too late: what others signed comes back, and it is said
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from central.releases.signing import Signing
from central.releases.trust_files import Confirm, TrustFiles
from central.servers.duties import LostError
from protocols.messages import utc_now
from protocols.trust import TrustError

log = structlog.get_logger("central.signing")

PUBLISH_S: Final = 20.0
"""For what was signed to be in the database: as long as one waits for another's write."""


class Publisher:
    """Called in the thread that signed. `confirm` and `again` are set once there is who confirms, and who tells the
    nodes anew."""

    def __init__(self, files: TrustFiles | None) -> None:
        self._files, self._loop = files, asyncio.get_running_loop()
        self.signing: Signing | None = None
        self.confirm: Confirm | None = None
        self.again: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        """Share what was signed. Raises TrustError."""
        if self._files is None or self.confirm is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._files.push(self.confirm), self._loop).result(PUBLISH_S)
        except (LostError, SQLAlchemyError, TimeoutError) as error:
            asyncio.run_coroutine_threadsafe(self._take_back(), self._loop)
            raise TrustError(f"what was signed could not be shared ({str(error)[:200]})") from None

    async def _take_back(self) -> None:
        """Go on with what the others have; what was signed here alone is signed again by whoever leads."""
        with contextlib.suppress(SQLAlchemyError, TrustError, OSError):
            if self._files is not None and self.signing is not None:
                await self._files.pull(force=True)
                await asyncio.to_thread(self.signing.reload)
        self.again()


async def open_signing(data: Path, files: TrustFiles | None, publish: Publisher) -> Signing:
    """Return what signs in the folder `data`, with the metadata of the other servers where there are any (`files`).

    Raises TrustError, OSError, SQLAlchemyError.
    """
    if files is None:
        return await asyncio.to_thread(Signing, data)
    await files.pull()
    made = publish.signing = await asyncio.to_thread(Signing, data, utc_now, publish, True)
    try:
        await files.first()
        await asyncio.to_thread(made.reload)
    except BaseException:
        made.close()
        raise
    return made


async def fresh(files: TrustFiles) -> None:
    """Have here what others signed, where that can be read now."""
    try:
        await files.pull()
    except (SQLAlchemyError, TrustError, OSError) as error:
        log.warning("what others signed could not be read; this is what is here", reason=str(error)[:300])
