"""The S3 server of the tests: what it answered for is there again after it was killed, and a wrong key gets nothing."""

from __future__ import annotations

import urllib.error

import pytest

from tests.servers import s3 as server_of_tests
from tests.servers.postgres import MissingError
from tests.servers.s3 import S3


def test_ask__what_was_put_is_listed_and_comes_back(s3: S3) -> None:
    bucket = s3.create().removeprefix("s3://")
    s3.ask("PUT", f"/{bucket}/a folder/with+odd=name é", body=b"content")
    assert s3.ask("GET", f"/{bucket}/a folder/with+odd=name é") == b"content"
    assert s3.keys(bucket) == ["a folder/with+odd=name é"]


def test_ask__a_wrong_secret_is_refused(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_of_tests, "SECRET", "another")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        s3.ask("GET", "/")


@pytest.mark.faults
def test_kill__what_was_answered_for_is_there_again() -> None:
    try:
        server = S3.start()
    except MissingError as error:
        pytest.skip(str(error))
    try:
        bucket = server.create().removeprefix("s3://")
        server.ask("PUT", f"/{bucket}/k", body=b"x" * 100_000)
        server.kill()
        with pytest.raises(urllib.error.URLError):
            server.ask("GET", f"/{bucket}/k")
        server.restart()
        assert server.ask("GET", f"/{bucket}/k") == b"x" * 100_000
    finally:
        server.close()
