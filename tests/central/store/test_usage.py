"""What each camera takes adds up."""

from __future__ import annotations

from pathlib import Path

from central.store.database import Database
from central.store.usage import BOX_ROW, FRAME_ROW, REVISION_ROW, Part, usage
from tests.central.store.retention.world import NOW, SIZE, open_world


async def test_usage__by_state_and_age(db: Database, tmp_path: Path) -> None:
    world = open_world(db, tmp_path)
    for number, (state, days, camera) in enumerate(
        [("pending", 0.5, "c1"), ("pending", 20, "c1"), ("labelled", 400, "c1"), ("skipped", 3, "c2")]
    ):
        await world.make(number, state, days, camera=camera)
    one, two = await db.run_read(lambda session: usage(session, NOW))
    assert (one.camera, one.all, one.labels, one.answers) == ("c1", Part(3, 3 * SIZE), 1, 1)
    assert one.states == {"pending": Part(2, 2 * SIZE), "labelled": Part(1, SIZE)}
    assert one.ages == {"day": Part(1, SIZE), "month": Part(1, SIZE), "older": Part(1, SIZE)}
    assert one.rows_bytes == 3 * (FRAME_ROW + 8) + BOX_ROW + REVISION_ROW
    assert (two.camera, two.states, two.ages) == ("c2", {"skipped": Part(1, SIZE)}, {"week": Part(1, SIZE)})
    assert one.first is not None and one.last is not None and one.first < one.last
    world.blobs.close()


async def test_usage__of_nothing_is_nothing(db: Database) -> None:
    assert await db.run_read(lambda session: usage(session, NOW)) == []
