"""Embeddings in the type of PostgreSQL's extension `vector`, where the server has it: it then finds what is most alike.

    frame.embedding (bytes) -> catch_up -> frame_vector (vector) -> nearest: ids and likenesses, most alike first

The table is no part of the schema: `install` makes it where the extension is, it holds nothing that `frame` has not,
and may be dropped at any time. Every vector is compared, so that the answer is exact, as that of the index in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

BATCH: Final = 2000
"""Embeddings that are brought over at a time."""
OVERLAP: Final = timedelta(seconds=10)
"""Looked at again, for transactions that end in another order than they began."""
_BEGIN: Final = datetime.min.replace(tzinfo=UTC)

_AVAILABLE: Final = text("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
_THERE: Final = text("SELECT to_regclass('frame_vector') IS NOT NULL")
_TABLE: Final = text(
    "CREATE TABLE IF NOT EXISTS frame_vector ("
    " frame VARCHAR(36) PRIMARY KEY REFERENCES frame (id) ON DELETE CASCADE, embedding vector NOT NULL)"
)
_LACKING: Final = text(
    "SELECT id, embedding, received_at FROM frame"
    " WHERE embedding IS NOT NULL AND received_at >= :since AND id > :after"
    " AND NOT EXISTS (SELECT 1 FROM frame_vector WHERE frame_vector.frame = frame.id) ORDER BY id LIMIT :batch"
)
_ADD: Final = text(
    "INSERT INTO frame_vector (frame, embedding) VALUES (:frame, CAST(:embedding AS vector)) ON CONFLICT DO NOTHING"
)
_NEWEST: Final = text("SELECT max(received_at) FROM frame")
_NEAREST: Final = text(
    'SELECT frame, likeness FROM (SELECT frame COLLATE "C" AS frame,'
    " CASE WHEN vector_dims(embedding) = vector_dims(wanted) THEN -(embedding <#> wanted) END AS likeness"
    " FROM frame_vector, (SELECT embedding AS wanted FROM frame_vector WHERE frame = :like) AS one"
    " WHERE frame != :like) AS every"
    " WHERE likeness <= :most ORDER BY likeness DESC, frame DESC"
)


def install(connection: Connection) -> bool:
    """Make the table on PostgreSQL, where the extension is or may be created; return whether it is there."""
    if connection.dialect.name != "postgresql" or not connection.execute(_AVAILABLE).scalar_one():
        return False
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            connection.execute(_TABLE)
    except DBAPIError:  # this user may not: then the index in memory serves
        return False
    return True


def there(session: Session) -> bool:
    """Whether embeddings are kept as vectors."""
    return session.get_bind().dialect.name == "postgresql" and bool(session.execute(_THERE).scalar_one())


class Vectors:
    """Keeps up with the frames. Its methods may be called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = _BEGIN

    def catch_up(self, session: Session) -> int:
        """Bring over the embeddings that came since the last time, in a transaction that writes; return how many."""
        if not there(session):
            return 0
        with self._lock:
            newest = session.execute(_NEWEST).scalar_one() or _BEGIN
            count, after = 0, ""
            while True:
                given = {"since": self._since, "after": after, "batch": BATCH}
                found = session.execute(_LACKING, given).all()
                rows = [{"frame": row.id, "embedding": shown} for row in found if (shown := _text(row.embedding))]
                if rows:
                    session.execute(_ADD, rows)
                count += len(rows)
                if len(found) < BATCH:
                    break
                after = found[-1].id
            self._since = max(self._since, newest - OVERLAP if newest > _BEGIN else newest)
            return count


def nearest(session: Session, like: str, most: float = float("inf")) -> Generator[tuple[str, float]]:
    """Yield the other frames with their likeness (`most` at most), the most alike first, of equals the highest id."""
    with session.execute(_NEAREST.execution_options(yield_per=BATCH), {"like": like, "most": most}) as rows:
        for frame, likeness in rows:
            yield frame, float(np.float32(likeness))


def _text(embedding: Any) -> str:
    """Return an embedding as the extension reads it; nothing where it is none that can be compared."""
    vector = np.frombuffer(bytes(embedding), "<f4")
    return f"[{','.join(f'{value:.9g}' for value in vector)}]" if len(vector) and np.isfinite(vector).all() else ""
