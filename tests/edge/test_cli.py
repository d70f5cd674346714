"""The commands: one clear line on an error, the agreed exit status, one JSON object where asked for."""

from __future__ import annotations

import json
import logging
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.commands import doctor
from edge.commands import run as command
from edge.runtime.packs import base_path
from edge.yamlfile import ConfigError

COMMANDS = [
    ["run"],
    ["score"],
    ["sharpness"],
    ["bench"],
    ["doctor"],
    ["swarm"],
    ["config", "check"],
    ["config", "schema"],
]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logs and signals of the test process as they were."""
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for number, handler in signals.items():
        signal.signal(number, handler)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("name", COMMANDS)
def test_help__has_an_example(name: list[str]) -> None:
    result = call(*name, "--help")
    assert result.exit_code == 0
    assert re.search(r"Example:\s+wayside-edge\s+" + r"\s+".join(name), result.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--camera", "gate"], "--camera gate: write NAME=SOURCE"),
        (["run", "--camera", "a=x", "--camera", "a=y"], "--camera a: stands here twice"),
        (["run", "--camera", "a/b=x"], "--cameras.a/b"),
        (["run", "--camera", "a=x", "--broker", "host:port"], "--broker host:port: write HOST or HOST:PORT"),
        (["run", "--camera", "a=x", "--prefix", "a/#"], "topic prefix 'a/#'"),
        (["run", "--camera", "a=x", "--node", "a+"], "--node"),
        (["run", "--camera", "a=x", "--password-file", "/nonexistent"], "--password-file /nonexistent: cannot be read"),
        (["run", "--config", "/nonexistent.yaml"], "/nonexistent.yaml: cannot be read"),
        (["run"], "there is no camera; give --camera NAME=SOURCE"),
        (["run", "--camera", "a=x", "--pack", "/nonexistent.wpack"], "/nonexistent.wpack: no such pack"),
        (["run", "--camera", "a=x", "--data", "/proc/nowhere"], "data: /proc/nowhere cannot be used"),
        (["config", "check", "/nonexistent.yaml"], "/nonexistent.yaml: cannot be read"),
        (["swarm", "--prefix", "#"], "topic prefix '#'"),
        (["swarm", "--broker", "a:b"], "--broker a:b"),
        (["score", "/nonexistent.mp4", "--pack", "/nonexistent.wpack"], "/nonexistent.wpack"),
    ],
)
def test_errors__are_one_line_and_status_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_run__a_policy_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("cameras: {a: x}\npolicy: {policy: nonsense}\n")
    result = call("run", "--config", str(tmp_path / "n.yaml"), "--data", str(tmp_path / "data"))
    assert result.exit_code == 2
    assert f"{tmp_path}/n.yaml:2: policy.policy: no policy 'nonsense'; there are: " in result.stderr


def test_config_check__right_and_wrong(tmp_path: Path) -> None:
    (tmp_path / "right.yaml").write_text("node: n1\ncameras: {gate: x}\n")
    (tmp_path / "wrong.yaml").write_text("nod: n1\nmqtt: {port: 0}\n")
    right = call("config", "check", str(tmp_path / "right.yaml"), "--json")
    assert right.exit_code == 0
    assert json.loads(right.stdout) == {"ok": True, "errors": [], "notes": [], "node": "n1", "cameras": ["gate"]}
    wrong = call("config", "check", str(tmp_path / "wrong.yaml"), "--json")
    assert wrong.exit_code == 2
    assert len(json.loads(wrong.stdout)["errors"]) == len(wrong.stderr.splitlines()) == 2


def test_config_check__notes_what_this_machine_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "n.yaml").write_text(
        f"mqtt: {{tls: {{ca: {tmp_path}/ca.pem, cert: /gone/n.pem, key: /gone/n.key}}}}\n"
        "cameras: {gate: rtsp://x/y, film: /gone/film.mp4}\nredact: {detectors: [{pack: /gone/faces.wpack}]}\n"
    )
    result = call("config", "check", str(tmp_path / "n.yaml"), "--json")
    assert result.exit_code == 0
    assert [note.split(":")[0] for note in json.loads(result.stdout)["notes"]] == [
        "mqtt.tls.cert", "mqtt.tls.key", "redact.detectors.0.pack", "cameras.film.source",
    ]  # fmt: skip


def test_config_schema__is_a_schema() -> None:
    assert "cameras" in json.loads(call("config", "schema").stdout)["properties"]


def test_doctor__says_what_it_found(tmp_path: Path) -> None:
    result = call("doctor", "--data", str(tmp_path), "--quick", "--json")
    report = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == (0 if report["ok"] else 1)
    assert {"onnxruntime", "opencv", "disk", "clock", "machine"} <= set(report)
    assert "CPUExecutionProvider" in report["onnxruntime"]["providers"]


def test_doctor__a_full_disk_is_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 1 << 60)
    report = doctor.examine(tmp_path)
    assert not report["ok"]
    assert "are free at" in report["advice"][0]


def test_doctor__says_how_video_is_decoded_and_how_fast_the_pack_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "UNITS", (str(tmp_path),))
    monkeypatch.setattr("edge.sources.gstreamer.available", lambda: (None, "OpenCV has no GStreamer"))
    report = doctor.examine(tmp_path, measure=base_path().is_file())
    assert report["decoding"] == {"hardware": None, "reason": "OpenCV has no GStreamer"}
    assert any(a.endswith("the processor does it: OpenCV has no GStreamer") for a in report["advice"])
    assert report["speed"] is None or report["speed"]["frames_per_second"] > 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LOW_MEMORY", 1 << 60, "MB of memory are free"),
        ("LOW_FILES", 1 << 60, "files may be open"),
        ("PASSES", 1, ""),
    ],
)
def test_doctor__advises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int, says: str
) -> None:
    monkeypatch.setattr(doctor, name, value)
    advice = doctor.examine(tmp_path, measure=False)["advice"]
    assert not says or any(says in line for line in advice)


def test_doctor__heat_and_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advice: list[str] = []
    monkeypatch.setattr(doctor, "temperature", lambda: 91.0)
    assert doctor._temperature(advice) == 91.0
    assert "at 91 °C" in advice[0]
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    assert doctor._board(tmp_path / "model") == {"board": "NVIDIA Jetson Orin Nano"}
    assert doctor._board(tmp_path / "none") == {}


def test_swarm__no_broker_is_status_1() -> None:
    result = call("swarm", "--nodes", "1", "--frames", "1", "--broker", "127.0.0.1:9", "--timeout", "1", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["missing"] == 1


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("host", {"host": "host"}),
        ("host:1884", {"host": "host", "port": 1884}),
        ("[::1]:1884", {"host": "::1", "port": 1884}),
        ("[::1]", {"host": "::1"}),
        (None, {}),
    ],
)
def test_broker_flags(text: str | None, settings: dict[str, object]) -> None:
    assert command.broker_flags(text) == settings


def test_merge__flags_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(
        "node: n1\nmqtt: {host: a, port: 1}\ncameras: {x: street}\npolicy: {min_gap_s: 3}\n"
    )
    flags = {"node": "n2", "mqtt": {"host": "b"}, "cameras": {"y": {"source": "z"}}}
    config = command.merge(tmp_path / "n.yaml", flags)
    assert (config.node, config.mqtt.host, config.mqtt.port, config.policy.min_gap_s) == ("n2", "b", 1, 3)
    assert list(config.cameras) == ["x", "y"]


def test_merge__a_flag_out_of_bounds() -> None:
    with pytest.raises(ConfigError, match=r"--policy\.frames_per_hour"):
        command.merge(None, {"policy": {"frames_per_hour": -1.0}})
