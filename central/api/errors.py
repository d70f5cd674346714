"""One error shape: ``{"error": {"code", "message", "detail"}}`` for whatever goes wrong.

ApiError                  what our own routes raise
RequestValidationError    a body or query that does not fit its schema       422 invalid
BlobError                 images that cannot be had now                      503 images_away
OperationalError ...      the database does not answer, or has no time        503 database_away
DataError                 what the database cannot hold, as PostgreSQL no NUL   422 invalid; in a path 404 not_found
HTTPException             what the framework raises (404 for a wrong path, 405 ...); its 400 for a body that is no
                          text is 422 invalid, like any other body that does not fit
anything else             a bug: logged with its trace, told without it      500 internal
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from central.api.schemas import ErrorView
from central.store.blobs import BlobError

_log = structlog.get_logger(__name__)
AGAIN_S: Final = 5
"""After which a browser asks once more for what was away."""
_CODES: Final = {
    401: "not_logged_in",
    403: "forbidden",
    404: "not_found",
    405: "wrong_method",
    413: "too_large",
    422: "invalid",
    429: "too_many",
    503: "unavailable",
}


class ApiError(Exception):
    """An answer that says no. `message` is one sentence: what, and what to do."""

    def __init__(
        self, status: int, code: str, message: str, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.detail = status, code, message, detail
        self.headers = dict(headers or {})


def not_found(what: str) -> ApiError:
    """Return the error for something that does not exist."""
    return ApiError(404, "not_found", f"no {what}; it may have been removed")


def respond(
    status: int, code: str, message: str, detail: Any = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error answer."""
    body = {"error": {"code": code, "message": message, "detail": jsonable_encoder(detail)}}
    return JSONResponse(body, status_code=status, headers=headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of error answers that a route gives."""
    return {status: {"model": ErrorView, "description": HTTPStatus(status).phrase} for status in statuses}


def _place(error: Mapping[str, Any]) -> str:
    """Return where in the request `error` is, for people: ``boxes.0.label``."""
    where = [str(part) for part in error["loc"]]
    return ".".join(where[1:] if len(where) > 1 and where[0] in ("body", "query", "path") else where)


async def _on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """Name the first thing wrong. What was sent is not repeated: it may be a password."""
    problems = [{"where": _place(e), "problem": str(e["msg"])} for e in error.errors()]
    first = problems[0] if problems else {"where": "request", "problem": "not valid"}
    return respond(422, "invalid", f"{first['where']}: {first['problem']}", problems)


def install(app: FastAPI) -> None:
    """Give `app` the one error shape."""

    async def on_api(_: Request, error: ApiError) -> JSONResponse:
        return respond(error.status, error.code, error.message, error.detail, error.headers)

    async def on_blob(_: Request, error: BlobError) -> JSONResponse:
        """Say that images cannot be had now; why is for the log alone."""
        _log.warning("an image cannot be read", reason=str(error))
        message = "the store of the images does not answer as it should; try again in a moment"
        return respond(503, "images_away", message, headers={"Retry-After": str(AGAIN_S)})

    async def on_database(request: Request, error: Exception) -> JSONResponse:
        """Say that rows cannot be had now; what was asked for may or may not have been done, where it changes any."""
        _log.error("the database does not answer", path=request.url.path, reason=str(error)[:500])
        message = "the database does not answer as it should; look whether it was done, or try again in a moment"
        return respond(503, "database_away", message, headers={"Retry-After": str(AGAIN_S)})

    async def on_data(request: Request, error: DataError) -> JSONResponse:
        if "\0" in request.url.path or "%00" in request.url.path:
            return respond(404, "not_found", "no such thing: nothing has a NUL in its name")
        _log.warning("a value cannot be stored", path=request.url.path, reason=str(error.orig)[:500])
        return respond(422, "invalid", "request: the database cannot store a text or a number of it; change that")

    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # the framework's only one: no route of ours raises any
            return respond(422, "invalid", "body: it cannot be read as JSON in UTF-8")
        code = _CODES.get(error.status_code, "error")
        return respond(error.status_code, code, str(error.detail), headers=error.headers)

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        _log.error("request failed", path=request.url.path, exc_info=error)
        return respond(500, "internal", "the centre failed at this; its log says why")

    app.exception_handler(ApiError)(on_api)
    app.exception_handler(BlobError)(on_blob)
    for away in (OperationalError, InterfaceError, PoolTimeoutError):
        app.exception_handler(away)(on_database)
    app.exception_handler(DataError)(on_data)
    app.exception_handler(HTTPException)(on_http)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(Exception)(on_bug)
