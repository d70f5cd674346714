"""The connection of a client: requests, errors, pages, and what was answered before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from central.api import schemas as s

TIMEOUT_S: Final = 30.0
"""Seconds for one request; a release reads and hashes a whole pack."""
MOST_KEPT: Final = 64
"""Answers that are kept for when nothing changed; a page of frames has 200 KB."""
V = TypeVar("V", bound=BaseModel)


class ClientError(Exception):
    """The centre said no, or does not answer. `code` is its code, or ``unreachable``; `detail` what it added."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.detail = status, code, detail


class ConflictError(ClientError):
    """Somebody else was quicker (409 `conflict`). Nothing was changed; look at how it is now, and decide again."""

    def current(self, view: type[V]) -> V:
        """Return how it is now: a `FrameView`, `ProfileState` or `RolloutView`."""
        return view.model_validate(self.detail)


class Connection:
    """Somebody who is logged in at a centre."""

    def __init__(self, url: str, token: str = "", transport: httpx.BaseTransport | None = None) -> None:
        """Talk to the centre at `url` with a token of a program, or of a session."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers=headers,
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
        )
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

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

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the JSON of any operation, None where it answers nothing: ``call("GET", "/accuracy", days=7)``.

        Raises ClientError.
        """
        content = self._send(method, path, body, **query)
        return TypeAdapter(Any).validate_json(content) if content else None

    def _send(self, method: str, path: str, body: Any = None, **query: Any) -> bytes:
        """Return what is answered. A GET whose answer did not change comes from memory. Raises ClientError."""
        params = {name: value for name, value in query.items() if value is not None}
        body = body.model_dump(mode="json", by_alias=True) if isinstance(body, BaseModel) else body
        request = self._http.build_request(method, path, json=body, params=params)
        kept = self._kept.get(str(request.url)) if method == "GET" else None
        if kept is not None:
            request.headers["If-None-Match"] = kept[0]
        try:
            answer = self._http.send(request)
        except httpx.HTTPError as error:
            raise self._away(error) from None
        if kept is not None and answer.status_code == 304:
            self._kept.move_to_end(str(request.url))
            return kept[1]
        if not answer.is_success:
            raise refused(answer)
        if method == "GET" and "etag" in answer.headers and "json" in answer.headers.get("content-type", ""):
            self._kept[str(request.url)] = answer.headers["etag"], answer.content
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return answer.content

    def _away(self, error: httpx.HTTPError) -> ClientError:
        return ClientError(0, "unreachable", f"{self._http.base_url}: {error or type(error).__name__}")

    @contextmanager
    def _stream(self, path: str, read_s: float | None = TIMEOUT_S, **query: Any) -> Iterator[httpx.Response]:
        """Give an answer that is read as it comes; `read_s` seconds without any of it are too many. Raises
        ClientError, also where it breaks off."""
        timeout = httpx.Timeout(TIMEOUT_S, read=read_s)
        try:
            with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                if not answer.is_success:
                    answer.read()
                    raise refused(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._away(error) from None

    def _view(self, view: type[V], method: str, path: str, body: Any = None, **query: Any) -> V:
        return view.model_validate_json(self._send(method, path, body, **query))

    def _list(self, view: type[V], path: str, **query: Any) -> list[V]:
        return TypeAdapter(list[view]).validate_json(self._send("GET", path, **query))  # type: ignore[valid-type]

    def _pages(self, view: type[Any], path: str, **query: Any) -> Iterator[Any]:
        """Yield the items of every page."""
        cursor = None
        while True:
            page = self._view(view, "GET", path, cursor=cursor, limit=s.MAX_PAGE, **query)
            yield from page.items
            if page.next is None:
                return
            cursor = page.next


def refused(answer: httpx.Response) -> ClientError:
    try:
        said = s.ErrorView.model_validate_json(answer.content).error
    except ValidationError:
        text = f"HTTP status {answer.status_code}; is it a centre?"
        return ClientError(answer.status_code, "error", text)
    kind = ConflictError if said.code == "conflict" else ClientError
    return kind(answer.status_code, said.code, said.message, said.detail)
