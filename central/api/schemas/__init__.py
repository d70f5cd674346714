"""Every body that crosses the HTTP API. The OpenAPI document, and through it the UI's types, are made from these.

Requests refuse unknown keys and non-finite numbers. Times are aware UTC; boxes are ``(x1, y1, x2, y2)`` in pixels of
the frame. A value that was not computed is null, never zero.

One file per subject; every public name of each is a name of this package, too.
"""

from __future__ import annotations

from central.api.schemas.base import *  # noqa: F403
from central.api.schemas.datasets import *  # noqa: F403
from central.api.schemas.drift import *  # noqa: F403
from central.api.schemas.frames import *  # noqa: F403
from central.api.schemas.jobs import *  # noqa: F403
from central.api.schemas.learning import *  # noqa: F403
from central.api.schemas.nodes import *  # noqa: F403
from central.api.schemas.operating import *  # noqa: F403
from central.api.schemas.overview import *  # noqa: F403
from central.api.schemas.people import *  # noqa: F403
from central.api.schemas.project import *  # noqa: F403
from central.api.schemas.releases import *  # noqa: F403
from central.api.schemas.rollouts import *  # noqa: F403
from central.api.schemas.servers import *  # noqa: F403
from central.api.schemas.session import *  # noqa: F403
from central.api.schemas.timeline import *  # noqa: F403
from central.api.schemas.together import *  # noqa: F403
