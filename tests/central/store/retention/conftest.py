"""What the tests of retention share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central.store.database import Database
from tests.central.store.retention.world import World, open_world


@pytest.fixture
def world(db: Database, tmp_path: Path) -> Iterator[World]:
    made = open_world(db, tmp_path)
    yield made
    made.blobs.close()
