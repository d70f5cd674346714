"""The client and the annotator that knows, through the real application."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from central.annotate import oracle
from central.annotate.boxes import LabelBox
from central.annotate.client import Client, ClientError
from central.annotate.formats import Dataset, Picture
from central.api.schemas import BoxBody

World = Any
PASSWORD = "correct horse battery"
LABELS = ("car", "cat")


class Bridge(httpx.BaseTransport):
    """Takes requests of a synchronous client to an application on the event loop."""

    def __init__(self, world: World) -> None:
        self._loop = asyncio.get_running_loop()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(world.app))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = self._http.request(request.method, request.url, content=request.read(), headers=request.headers)
        answer = asyncio.run_coroutine_threadsafe(sent, self._loop).result(10)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
async def bridge(world: World) -> Bridge:
    """The way to the application."""
    return Bridge(world)


def log_in(bridge: Bridge, name: str = "admin") -> Client:
    return Client.login("http://centre", name, PASSWORD, transport=bridge)


async def test_client__queue_label_conflict(world: World, bridge: Bridge) -> None:
    frame = await world.add_frame()

    def work() -> tuple[int, str, str]:
        with log_in(bridge) as client:
            assert client.queue().items[0].id == frame
            box = BoxBody(box=(1, 2, 3, 4), label="car")
            view = client.label(frame, 0, [box], ["car"])
            with pytest.raises(ClientError) as caught:
                client.label(frame, 0, [])
            return view.revision, caught.value.code, caught.value.detail["id"]

    assert await asyncio.to_thread(work) == (1, "conflict", frame)


async def test_client__frames_over_pages(world: World, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("central.api.schemas.MAX_PAGE", 2)
    ids = {await world.add_frame(number) for number in range(1, 6)}
    assert {f.id for f in await asyncio.to_thread(lambda: list(log_in(bridge).frames()))} == ids


async def test_client__wrong_password(bridge: Bridge) -> None:
    with pytest.raises(ClientError, match="name or password is wrong"):
        await asyncio.to_thread(Client.login, "http://centre", "admin", "x", bridge)


def test_client__unreachable() -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ClientError) as caught:
        Client("http://centre", transport=httpx.MockTransport(refuse)).queue()
    assert caught.value.code == "unreachable"


def test_client__not_a_centre() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(502, text="<html>"))
    with pytest.raises(ClientError, match="is it a centre"):
        Client("http://centre", transport=transport).queue()


def truth() -> oracle.Truth:
    car, cat = LabelBox((10, 10, 20, 20), "car"), LabelBox((1, 1, 5, 5), "cat")
    return oracle.Truth(
        Dataset(
            LABELS,
            (
                Picture("x/one.jpg", 320, 180, (car, cat), LABELS),
                Picture("x/two.jpg", 640, 360, (), (), labelled=False),
                Picture("x/three.jpg", 640, 360, (), LABELS, index=4),
            ),
        )
    )


async def test_oracle__by_name_by_place_else_skipped(world: World, bridge: Bridge) -> None:
    named = await world.add_frame(1, 0.9, name="one.jpg")
    await world.add_frame(2, 0.8, name="two.jpg")
    placed = await world.add_frame(3, 0.7, index=4)
    await world.add_frame(4, 0.6, name="four.jpg")
    await world.add_frame(5, 0.5, index=77)

    def work() -> oracle.Tally:
        with log_in(bridge) as client:
            return oracle.run(client, truth(), lambda tally: tally.labelled + tally.skipped == 5)

    assert await asyncio.to_thread(work) == oracle.Tally(labelled=2, skipped=3, boxes=1)
    async with world.client("viewer") as client:
        one, three = [(await client.get(f"/frames/{f}")).json() for f in (named, placed)]
    assert [(b["label"], b["box"]) for b in one["boxes"]] == [("car", [20.0, 20.0, 40.0, 40.0])]
    assert one["complete_for"] == ["car"]
    assert (three["state"], three["boxes"]) == ("labelled", [])


async def test_oracle__waits_for_frames(world: World, bridge: Bridge) -> None:
    pauses: list[float] = []

    def work() -> oracle.Tally:
        with log_in(bridge) as client:
            return oracle.run(client, truth(), lambda _tally: len(pauses) >= 2, 0.5, pauses.append)

    assert await asyncio.to_thread(work) == oracle.Tally()
    assert pauses == [0.5, 0.5]
