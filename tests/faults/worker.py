"""An ingest process with a planted bug: ``python -m tests.faults.worker BUG``, else as `central.ingest.worker`."""

from __future__ import annotations

import asyncio
import sys

from central.ingest import worker
from tests.faults.centre import BUGS

if __name__ == "__main__":
    BUGS[sys.argv[1]]()
    asyncio.run(worker._main())
