"""The HTTP API for programs: log in, ask the queue, answer it.

with Client.login("http://127.0.0.1:8080", "admin", password) as client:
    for frame in client.queue(20).items: ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from central.api import schemas as s

TIMEOUT_S: Final = 30.0
"""Seconds for one request; a release reads and hashes a whole pack."""
V = TypeVar("V", bound=BaseModel)


class ClientError(Exception):
    """The centre said no, or does not answer. `code` is its code, or ``unreachable``; `detail` what it added."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.detail = status, code, detail


class Client:
    """Somebody who is logged in at a centre."""

    def __init__(self, url: str, token: str = "", transport: httpx.BaseTransport | None = None) -> None:
        """Talk to the centre at `url` with a session token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers=headers,
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
        )

    @classmethod
    def login(cls, url: str, name: str, password: str, transport: httpx.BaseTransport | None = None) -> Self:
        """Return a client with a new session. Raises ClientError."""
        client = cls(url, transport=transport)
        try:
            token = client._view(s.SessionToken, "POST", "/session", {"name": name, "password": password}).token
        except ClientError:
            client.close()
            raise
        client._http.cookies.clear()
        client._http.headers["Authorization"] = f"Bearer {token}"
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        params = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._http.request(method, path, json=body, params=params)
        except httpx.HTTPError as error:
            raise ClientError(0, "unreachable", f"{self._http.base_url}: {error or type(error).__name__}") from None
        if answer.is_success:
            return answer
        try:
            said = s.ErrorView.model_validate_json(answer.content).error
        except ValidationError:
            raise ClientError(
                answer.status_code, "error", f"HTTP status {answer.status_code}; is it a centre?"
            ) from None
        raise ClientError(answer.status_code, said.code, said.message, said.detail)

    def _view(self, view: type[V], method: str, path: str, body: Any = None, **query: Any) -> V:
        return view.model_validate_json(self._send(method, path, body, **query).content)

    def overview(self) -> s.Overview:
        """Return nodes, totals and where the loop stands."""
        return self._view(s.Overview, "GET", "/overview")

    def profile(self) -> s.ProfileView:
        """Return what the project labels."""
        return self._view(s.ProfileView, "GET", "/profile")

    def queue(self, limit: int = 20) -> s.QueueView:
        """Return the most valuable waiting frames."""
        return self._view(s.QueueView, "GET", "/queue", limit=limit)

    def frames(self, state: s.FrameState | None = None, camera: str | None = None) -> Iterator[s.FrameView]:
        """Yield frames, newest first, page by page."""
        cursor = None
        while True:
            page = self._view(
                s.FramePage, "GET", "/frames", state=state, camera=camera, cursor=cursor, limit=s.MAX_PAGE
            )
            yield from page.items
            if page.next is None:
                return
            cursor = page.next

    def image(self, frame: str) -> bytes:
        """Return the JPEG of a frame."""
        return self._send("GET", f"/frames/{frame}/image").content

    def label(
        self, frame: str, revision: int, boxes: Sequence[s.BoxBody], complete_for: Sequence[str] = ()
    ) -> s.FrameView:
        """Replace the labels of a frame. ClientError with the code ``conflict`` where somebody else was quicker."""
        body = s.LabelsBody(revision=revision, boxes=list(boxes), complete_for=list(complete_for))
        return self._view(s.FrameView, "PUT", f"/frames/{frame}/labels", body.model_dump(mode="json"))

    def skip(self, frame: str, revision: int) -> s.FrameView:
        """Put a frame aside."""
        return self._view(s.FrameView, "POST", f"/frames/{frame}/skip", {"revision": revision})

    def start_round(self, epochs: int | None = None) -> s.RoundView:
        """Start a round."""
        return self._view(s.RoundView, "POST", "/rounds", {"epochs": epochs})

    def round(self, round_id: str) -> s.RoundView:
        """Return a round."""
        return self._view(s.RoundView, "GET", f"/rounds/{round_id}")

    def rounds(self) -> list[s.RoundView]:
        """Return the last rounds, newest first."""
        return TypeAdapter(list[s.RoundView]).validate_json(self._send("GET", "/rounds").content)

    def packs(self) -> list[s.PackView]:
        """Return the last packs, newest first."""
        return TypeAdapter(list[s.PackView]).validate_json(self._send("GET", "/packs").content)

    def releases(self) -> list[s.ReleaseView]:
        """Return the last releases, newest first."""
        return TypeAdapter(list[s.ReleaseView]).validate_json(self._send("GET", "/releases").content)

    def release(self, pack: str, notes: str = "") -> s.ReleaseView:
        """Offer a registered pack to every node."""
        return self._view(s.ReleaseView, "POST", "/releases", {"pack": pack, "notes": notes})

    def change_password(self, old: str, new: str) -> None:
        """Choose another password."""
        self._send("PUT", "/session/password", {"old": old, "new": new})
