"""The centre's settings: where they come from, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from central import settings
from central.settings import Settings, SettingsError, is_loopback


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of ours."""
    for name in list(os.environ):
        if name.startswith("WAYSIDE_"):
            monkeypatch.delenv(name)


def test_load__defaults_are_safe() -> None:
    loaded = settings.load()
    assert (loaded.host, loaded.port, loaded.behind_tls) == ("127.0.0.1", 8080, False)
    assert loaded.data.is_absolute()


def test_load__options_beat_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYSIDE_PORT", "9000")
    assert settings.load().port == 9000
    assert settings.load(port=9001).port == 9001
    assert settings.load(port=None).port == 9000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"port": 0}, "--port"),
        ({"port": 70000}, "--port"),
        ({"host": "0.0.0.0"}, "without TLS"),
        ({"host": "192.0.2.1"}, "without TLS"),
        ({"host": "centre.example"}, "without TLS"),
        ({"prefix": "a/+/b"}, "--prefix: topic prefix"),
        ({"session_hours": 0}, "--session-hours"),
        ({"proxies": "127.0.0.1"}, "without behind_tls"),
        ({"proxies": "*", "behind_tls": True}, "name them"),
        ({"colour": "red"}, "setting 'colour' does not exist"),
    ],
)
def test_load__refuses_in_one_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(**given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WAYSIDE_PORT", "http", "WAYSIDE_PORT: "),
        ("WAYSIDE_BEHIND_TLS", "maybe", "WAYSIDE_BEHIND_TLS: "),
        ("WAYSIDE_HOST", "0.0.0.0", "without TLS"),
        ("WAYSIDE_PROTS", "1", "WAYSIDE_PROTS: no such setting"),
        ("WAYSIDE_BEHIND_TSL", "1", "did you mean WAYSIDE_BEHIND_TLS"),
    ],
)
def test_load__refuses_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    if name == "WAYSIDE_PROTS":
        monkeypatch.setattr(settings, "_NEAR", 0.5)
    with pytest.raises(SettingsError, match=says):
        settings.load()


def test_load__behind_tls_may_listen_anywhere() -> None:
    assert settings.load(host="0.0.0.0", behind_tls=True).behind_tls


def test_secrets__are_not_shown() -> None:
    loaded = settings.load(broker_url="mqtt://u:hunter2@h", database_url="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(loaded)
    assert "hunter2" in loaded.database


def test_every_field__described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.load(data=tmp_path).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "near"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False)]
)
def test_is_loopback(host: str, near: bool) -> None:
    assert is_loopback(host) is near
