"""``token`` and ``webhook``: made, listed, ended; secrets shown once."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from central.api.access import digest
from tests.central.test_cli import one_line, run


@pytest.fixture
def data(tmp_path: Path, migrated: Path) -> list[str]:
    """Options for a centre where maria is an annotator."""
    (tmp_path / "central.db").write_bytes(migrated.read_bytes())
    with sqlite3.connect(tmp_path / "central.db") as rows:
        rows.execute("INSERT INTO user VALUES ('maria', 'x', 'annotator', 0, '2026-01-01')")
    rows.close()
    return ["--data", str(tmp_path), "--json"]


def told(*words: str, status: int = 0) -> dict[str, Any]:
    result = run(*words)
    assert result.exit_code == status, result.output
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_token__made_listed_and_ended(data: list[str]) -> None:
    made = told("token", "add", "maria", "nightly export", "--role", "admin", *data)
    assert (made["user"], made["name"], made["role"]) == ("maria", "nightly export", "annotator")
    (listed,) = told("token", "list", *data)["tokens"]
    assert listed == {key: value for key, value in made.items() if key != "token"}
    with sqlite3.connect(Path(data[1]) / "central.db") as rows:
        assert rows.execute("SELECT token_sha256 FROM api_token").fetchall() == [(digest(made["token"]),)]
    rows.close()
    assert told("token", "revoke", str(made["id"]), *data)["revoked"]
    assert not told("token", "revoke", str(made["id"]), *data, status=1)["revoked"]
    assert told("token", "list", *data)["tokens"] == []


def test_user_reset__ends_tokens(data: list[str]) -> None:
    told("token", "add", "maria", "cron", *data)
    told("user", "reset", "maria", *data)
    assert told("token", "list", *data)["tokens"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["token", "add", "joe", "x"], "no user 'joe'"),
        (["token", "add", "maria", "x", "--role", "boss"], "role 'boss' does not exist"),
        (["token", "add", "maria", ""], "say what it is for"),
        (["webhook", "add", "http://127.0.0.1/", "--kind", "round"], "WAYSIDE_WEBHOOK_HOSTS"),
        (["webhook", "add", "http://127.0.0.1/", "--kind", "nix"], "kind 'nix' does not exist"),
        (["webhook", "test", "7"], "no webhook 7"),
    ],
)
def test_programs__wrong_use(data: list[str], words: list[str], says: str) -> None:
    assert says in one_line(run(*words, *data))


def _answer(server: socket.socket, got: list[bytes]) -> None:
    connection, _ = server.accept()
    with connection:
        got.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_webhook__made_tested_and_removed(data: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, got = f"127.0.0.1:{server.getsockname()[1]}", list[bytes]()
        monkeypatch.setenv("WAYSIDE_WEBHOOK_HOSTS", host)
        made = told("webhook", "add", f"http://{host}/x", "--kind", "round", "--kind", "release", *data)
        assert made["secret"] and made["kinds"] == ["round", "release"]
        worker = threading.Thread(target=_answer, args=(server, got))
        worker.start()
        assert told("webhook", "test", str(made["id"]), *data)["outcome"] == "answered 204"
        worker.join(10)
    assert b"x-wayside-signature: sha256=" in got[0].lower()
    (listed,) = told("webhook", "list", *data)["webhooks"]
    assert listed["outcome"] == "answered 204" and "secret" not in listed
    assert told("webhook", "test", str(made["id"]), *data, status=1)["outcome"].startswith("failed: ")
    assert told("webhook", "remove", str(made["id"]), *data)["removed"]
    assert told("webhook", "list", *data)["webhooks"] == []
