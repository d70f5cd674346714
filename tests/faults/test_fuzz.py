"""Hostile bytes raise nothing but the errors of the door that they knock at (P16). The long set: `benchmarks.fuzz`."""

from __future__ import annotations

import os
import random

import msgspec
import pytest

from benchmarks import fuzz
from benchmarks.fuzz import Door
from benchmarks.mutate import Seed, mutate
from protocols import codec

pytestmark = pytest.mark.faults
COUNT = 6000


def test_doors__hostile_bytes_raise_nothing_else() -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    print("FAULTS_SEED", seed)
    with fuzz.doors() as doors:
        seen = fuzz.knock(doors, COUNT, seed)
    assert [error for each in seen.values() for error in each.uncaught] == []
    assert [name for name, each in seen.items() if not each.refused and name not in ("ingest", "spool record")] == []


def test_doors__sound_bytes_pass_every_one() -> None:
    with fuzz.doors() as doors:
        for door in doors:
            door.open(door.seeds[0].data)  # the others may be bombs


@pytest.mark.parametrize("leak", [ValueError, RecursionError, UnicodeDecodeError])
def test_doors__an_error_that_leaks_is_found(leak: type[Exception]) -> None:
    def leaky(data: bytes) -> None:
        try:
            codec.decode("health", data)
        except codec.CodecError:
            if len(data) % 7 == 0:
                raise (leak("utf-8", data, 0, 1, "x") if leak is UnicodeDecodeError else leak("planted")) from None
            raise

    sound = (fuzz.VECTORS / "health.json").read_bytes()
    seen = fuzz.knock([Door("leaky", [Seed(sound, "json")], leaky, (codec.CodecError,))], 500, 1)
    assert {error["error"].split(":")[0] for error in seen["leaky"].uncaught} == {leak.__name__}


def test_mutate__the_same_draw_gives_the_same_bytes_and_often_well_formed_ones() -> None:
    seed = Seed((fuzz.VECTORS / "receipts.msgpack").read_bytes(), "msgpack")
    made = [[mutate(seed, [seed], random.Random(n)) for n in range(300)] for _ in range(2)]
    assert made[0] == made[1]
    assert sum(data != seed.data for data in made[0]) > 290
    formed = 0
    for data in made[0]:
        try:
            msgspec.msgpack.decode(data)
            formed += 1
        except (msgspec.MsgspecError, ValueError):
            continue
    assert formed > 100
