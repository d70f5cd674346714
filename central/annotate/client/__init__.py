"""The HTTP API for programs: whatever the UI does, one method each.

with Client("http://127.0.0.1:8080", token) as client:
    for frame in client.review():
        client.label(frame.id, frame.revision, [BoxBody(box=(1, 2, 30, 40), label="car")], ["car"])

base       connection, errors, ETags: what did not change is not sent again
frames     queue, leases, drafts, labels, tags, history, pairs, second opinions
data       search, snapshots, differences, profile
learning   rounds, packs, releases, rollouts, nodes
people     users, tokens, webhooks, audit log, one's own session
jobs       work in the background: its queue, logs, stopping, trying again
operating  servers, storage, retention, holds, the record of what was deleted

Whatever is answered is a model of `central.api.schemas`; lists that have pages are iterators over all of them. What has
no method yet is reached by `Client.call`.
"""

from __future__ import annotations

from central.annotate.client.base import ClientError, ConflictError
from central.annotate.client.data import Data
from central.annotate.client.frames import Frames
from central.annotate.client.jobs import Jobs
from central.annotate.client.learning import Learning
from central.annotate.client.operating import Operating
from central.annotate.client.people import People

__all__ = ["Client", "ClientError", "ConflictError"]


class Client(Frames, Data, Learning, People, Jobs, Operating):
    """Somebody, or a program of theirs, at a centre."""
