"""Which start of the program this is, and how many followed no clean stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import identity


def test_next_boot__counts_starts(tmp_path: Path) -> None:
    first, second = identity.next_boot(tmp_path, "n"), identity.next_boot(tmp_path, "n")
    assert (first[:7], second[:7]) == ("000001-", "000002-")
    assert first[7:] != second[7:]


def test_crashes__starts_that_followed_no_clean_stop(tmp_path: Path) -> None:
    assert identity.crashes(tmp_path) is None
    counted = []
    for clean in (True, False, False, True, True):
        identity.next_boot(tmp_path, "n")
        counted.append(identity.crashes(tmp_path))
        if clean:
            identity.stopped(tmp_path)
    assert counted == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("data", [b"", b"{", b'{"starts": -1}'])
def test_next_boot__a_damaged_file_begins_anew(tmp_path: Path, data: bytes) -> None:
    (tmp_path / identity.NAME).write_bytes(data)
    assert identity.next_boot(tmp_path, "n").startswith("000001-")
    assert identity.crashes(tmp_path) == 0


def test_next_boot__a_file_of_an_earlier_version_counts_no_crash(tmp_path: Path) -> None:
    (tmp_path / identity.NAME).write_bytes(b'{"node": "n", "starts": 4}')
    assert identity.next_boot(tmp_path, "n").startswith("000005-")
    assert identity.crashes(tmp_path) == 0
