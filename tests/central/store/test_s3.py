"""Images on a real S3 server: what was kept comes back, what goes wrong is said in one line, and nothing hides it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from central.store import blobs, bundles
from central.store import s3 as s3_store
from central.store.blobs import BlobAwayError, BlobDamagedError, BlobError, BlobMissingError, Blobs
from tests.servers.meddler import Meddler, meddling
from tests.servers.s3 import KEY, S3, SECRET
from tests.servers.swift_process import LISTED

FRAME = "019cbb5c-7a80-7000-8000-00000000000{}"


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket; the keys are in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.create()


@pytest.fixture
def store(s3: S3, bucket: str, tmp_path: Path) -> Blobs:
    """A store in it."""
    return blobs.connect(s3.url(bucket), tmp_path / "blobs")


@pytest.fixture
def meddler(s3: S3) -> Iterator[Meddler]:
    """A proxy before the server."""
    with meddling(s3.ports["proxy"]) as made:
        yield made


@pytest.fixture
def watched(s3: S3, bucket: str, meddler: Meddler, tmp_path: Path) -> Blobs:
    """The store through the proxy."""
    return blobs.connect(s3.url(bucket, endpoint=meddler.endpoint), tmp_path / "blobs")


def images(count: int, size: int = 3000, seed: int = 1) -> list[tuple[str, bytes]]:
    """Wanted keys and contents."""
    drawn = random.Random(seed)
    return [(f"frames/d/{n}.jpg", drawn.randbytes(size + n)) for n in range(count)]


async def test_keep__one_request_for_a_batch_and_each_image_comes_back(watched: Blobs, meddler: Meddler) -> None:
    items = images(60)
    keys = await watched.keep(items)
    assert meddler.count("PUT") == 1
    found = await asyncio.gather(*(watched.read(k) for k in (keys[0], keys[31], keys[-1])))
    assert found == [items[0][1], items[31][1], items[-1][1]]
    opened = await watched.open(keys[7])
    assert (opened.size, b"".join([c async for c in opened.chunks])) == (3007, items[7][1])


async def test_keep__large_batches_go_into_several_objects(watched: Blobs, meddler: Meddler) -> None:
    items = images(5, bundles.MAX_BUNDLE // 2 - 100)
    keys = await watched.keep(items)
    assert meddler.count("PUT") == 3
    assert await watched.read(keys[4]) == items[4][1]


async def test_put__odd_keys_and_a_prefix(s3: S3, store: Blobs, bucket: str) -> None:
    keys = ["k", "frames/2026-01-01/a.b-c_d.jpg", "-/_.-/0"]
    await store.put([(key, key.encode()) for key in keys])
    assert sorted(s3.keys(bucket)) == sorted(f"wayside/{key}" for key in keys)
    assert [await store.read(key) for key in keys] == [key.encode() for key in keys]


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a b", "é", ".x", "", "a/../../b", "../x.seg@0+1"])
async def test_put__keys_that_are_none(watched: Blobs, meddler: Meddler, key: str) -> None:
    with pytest.raises(BlobError, match="not of the form"):
        await watched.read(key)
    assert not meddler.asked


async def test_read__of_what_is_not_there(store: Blobs) -> None:
    for key in ("frames/d/x.jpg", "frames/d/0123456789abcdef.seg@0+10"):
        with pytest.raises(BlobMissingError, match="not there"):
            await store.read(key)


async def test_delete__takes_one_image_out_and_leaves_the_others(s3: S3, store: Blobs, bucket: str) -> None:
    items = images(3)
    keys = await store.keep(items)
    await store.delete(keys[1])
    with pytest.raises(BlobMissingError):
        await store.read(keys[1])
    assert [await store.read(keys[0]), await store.read(keys[2])] == [items[0][1], items[2][1]]
    raw = bytes(obstore.get(store.store, keys[0].split("@")[0]).bytes())
    assert items[1][1] not in raw
    await store.delete_all([keys[0], keys[2], keys[2]])
    assert s3.keys(bucket) == []


async def test_list__more_keys_than_the_server_lists_at_a_time(s3: S3, store: Blobs, bucket: str) -> None:
    names = [f"frames/d/{n:04d}" for n in range(LISTED + 5)]
    await store.put([(name, b"x") for name in names])
    listed = [each["path"] async for page in obstore.list(store.store, "frames") for each in page]
    assert sorted(listed) == names


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says", "away"),
    [
        ({"bucket": "s3://not-there-at-all"}, "no such bucket", False),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "keys are wrong", False),
        ({"AWS_ACCESS_KEY_ID": "way:nobody"}, "keys are wrong", False),
        ({"region": "us-west-1"}, "region is another one", False),
        ({"endpoint": "http://127.0.0.1:9"}, "nothing answers there", True),
        ({"endpoint": "http://nothing.invalid"}, "name is not known", True),
        ({"https": "yes"}, "TLS", True),
    ],
)
async def test_prove__says_what_is_wrong_in_one_line(
    s3: S3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], says: str, away: bool
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        if name in change:
            monkeypatch.setenv(name, change[name])
    monkeypatch.setattr(s3_store, "RETRIES", 1)
    url = s3.url(change.get("bucket", bucket), endpoint=change.get("endpoint"))
    if "region" in change:
        url = re.sub("region=[^&]*", f"region={change['region']}", url)
    if "https" in change:
        url = url.replace("endpoint=http:", "endpoint=https:")
    with pytest.raises(BlobError, match=says) as told:
        await blobs.connect(url, tmp_path).prove()
    assert isinstance(told.value, BlobAwayError) == away
    assert "\n" not in str(told.value)
    assert SECRET not in str(told.value)
    assert KEY not in str(told.value)


async def test_prove__clock_that_is_off(meddler: Meddler, watched: Blobs) -> None:
    text = "status code: 403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code></Error>"
    assert s3_store.explain(RuntimeError(text)) == ("the clock of this machine is off; set it", True)
    await watched.prove()
    assert [method for method, _ in meddler.asked] == ["PUT", "GET"]


@pytest.mark.parametrize(
    ("url", "environment", "says"),
    [
        ("s3://b", {}, "bucket or prefix"),
        ("s3:///x", {}, "bucket or prefix"),
        ("s3://bucket/../x", {}, "bucket or prefix"),
        ("s3://key:secret@bucket", {}, "no keys in it"),
        ("s3://bucket?endpont=x", {}, "unknown 'endpont'"),
        ("s3://bucket?style=odd", {}, "path or virtual"),
        ("s3://bucket?endpoint=http://h:1", {}, "not encrypted"),
        ("s3://bucket?endpoint=ftp://h:1", {}, "endpoint is https"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "http://h"}, "not encrypted"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": ""}, "no keys: set"),
        ("s3://bucket", {"AWS_CA_BUNDLE": "/nowhere/ca.pem"}, "AWS_CA_BUNDLE"),
    ],
)
def test_connect__url_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], says: str
) -> None:
    for name, value in ({"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s3cr3t"} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BlobError, match=says) as told:
        blobs.connect(url, tmp_path)
    assert "secret" not in str(told.value).replace("AWS_SECRET_ACCESS_KEY", "")


def test_connect__virtual_style_puts_the_bucket_before_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    address = s3_store.parse("s3://bucket/a/b?endpoint=https://host:1&style=virtual&region=r")
    assert s3_store.connect(address)[0].config["endpoint"] == "https://bucket.host:1"
    assert (address.name, address.region) == ("s3://bucket/a/b at https://host:1", "r")


@pytest.mark.faults
async def test_read__an_answer_that_was_damaged_on_its_way_is_asked_for_again(watched: Blobs, meddler: Meddler) -> None:
    [(wanted, data)] = images(1)
    [key] = await watched.keep([(wanted, data)])
    turns = iter(["damage", "pass"])
    meddler.rule = lambda method, _: next(turns) if method == "GET" else "pass"
    assert await watched.read(key, hashlib.sha256(data).hexdigest()) == data


@pytest.mark.faults
async def test_read__what_is_damaged_is_never_given_out(watched: Blobs, meddler: Meddler) -> None:
    [(wanted, data)] = images(1)
    [key] = await watched.keep([(wanted, data)])
    meddler.rule = lambda method, _: "damage" if method == "GET" else "pass"
    assert await watched.read(key) != data  # who gives no hash cannot know
    with pytest.raises(BlobDamagedError, match="not what was stored"):
        await watched.read(key, hashlib.sha256(data).hexdigest())


@pytest.mark.faults
@pytest.mark.parametrize("place", ["bundle", "object"])
async def test_read__an_answer_that_ends_early_is_an_error(
    watched: Blobs, meddler: Meddler, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(wanted, data)] = images(1, 50_000)
    key = wanted
    if place == "bundle":
        [key] = await watched.keep([(wanted, data)])
    else:
        await watched.put([(wanted, data)])
    meddler.rule = lambda method, _: "cut" if method == "GET" else "pass"
    with pytest.raises(BlobAwayError):
        await watched.read(key)
    opened = await watched.open(key)
    with pytest.raises(BlobAwayError):
        [chunk async for chunk in opened.chunks]


@pytest.mark.faults
async def test_keep__a_busy_server_is_asked_again(watched: Blobs, meddler: Meddler) -> None:
    turns = iter(["busy", "busy"])
    meddler.rule = lambda *_: next(turns, "pass")
    items = images(2)
    keys = await watched.keep(items)
    assert [await watched.read(k) for k in keys] == [data for _, data in items]
    assert meddler.count("PUT") == 3


@pytest.mark.faults
async def test_trouble__of_a_server_that_does_not_answer(
    watched: Blobs, meddler: Meddler, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await watched.trouble() == ""
    monkeypatch.setattr(blobs, "PROVE_S", 0.3)
    meddler.rule = lambda *_: "hang"
    assert "does not answer in time" in await watched.trouble()
    meddler.rule = lambda *_: "pass"
    monkeypatch.setattr(blobs, "PROVE_S", 10.0)
    assert await watched.trouble() == ""


# --- the folder that S3 takes the place of ----------------------------------------------------------------------------


async def test_read__what_still_lies_in_the_folder(s3: S3, bucket: str, tmp_path: Path) -> None:
    folder = blobs.connect(None, tmp_path / "blobs")
    items = images(2)
    keys = await folder.keep(items)
    await folder.put([(FRAME.format(1), b"single")])
    folder.close()
    store = blobs.connect(s3.url(bucket), tmp_path / "blobs")
    assert [await store.read(k) for k in (*keys, FRAME.format(1))] == [items[0][1], items[1][1], b"single"]
    opened = await store.open(keys[1])
    assert b"".join([c async for c in opened.chunks]) == items[1][1]
    await store.delete_all([keys[0], FRAME.format(1)])
    for key in (keys[0], FRAME.format(1)):
        with pytest.raises(BlobMissingError):
            await store.read(key)
        with pytest.raises(BlobMissingError):
            await folder.read(key)
