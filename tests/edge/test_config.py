"""Settings: what is wrong is named with file, line and key; what is right comes out typed and frozen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from edge import config
from edge.commands.schema import editor_schema
from edge.yamlfile import ConfigError
from protocols.messages import Policy

WHOLE = """\
node: entrance-3
site: north
data: /var/lib/wayside
mqtt:
  host: broker.example
  username: entrance-3
  password: ${SECRET}
  tls: {ca: /etc/ca.pem, cert: /etc/n.pem, key: /etc/n.key}
cameras:
  gate: rtsp://10.0.0.5/stream
  yard:
    source: /dev/video0
    fps: 5
    policy: {frames_per_hour: 10}
    redact: {labels: []}
policy:
  frames_per_hour: 120
redact:
  masks:
    - [[0, 0], [1, 0], [1, 0.1], [0, 0.1]]
  labels: [person]
"""


def errors(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as info:
        config.parse(text, "node.yaml", environment)
    return info.value.lines


def test_parse__the_whole() -> None:
    node = config.parse(WHOLE, environment={"SECRET": "12345"})
    assert node.mqtt.password == "12345"
    assert node.mqtt.effective_port == 8883
    assert node.cameras["gate"].source == "rtsp://10.0.0.5/stream"
    assert node.data == Path("/var/lib/wayside")


def test_parse__an_empty_file_is_all_defaults() -> None:
    assert config.parse("").cameras == {}
    assert config.parse("# nothing\n").mqtt.effective_port == 1883


def test_overrides__a_camera_says_only_what_differs() -> None:
    node = config.parse(WHOLE, environment={"SECRET": "x"})
    assert node.policy_of("gate").frames_per_hour == 120
    assert node.policy_of("yard").frames_per_hour == 10
    assert node.redact_of("gate").labels == ["person"]
    assert node.redact_of("yard").labels == []
    assert node.redact_of("yard").masks == node.redact.masks


def test_overrides__hold_against_the_centre_too() -> None:
    node = config.parse(WHOLE, environment={"SECRET": "x"})
    central = Policy(version=7, frames_per_hour=3.0, audit_share=0.5)
    assert node.policy_of("gate", central) == central
    assert node.policy_of("yard", central).frames_per_hour == 10
    assert node.policy_of("yard", central).audit_share == 0.5


def test_policy_of__a_share_changes_the_quotas_of_its_camera() -> None:
    node = config.parse(WHOLE, environment={"SECRET": "x"})
    central = Policy(version=7, frames_per_hour=8.0, bytes_per_day=1000, shares={"gate": 2.5, "yard": 0.5})
    gate = node.policy_of("gate", central)
    assert (gate.frames_per_hour, gate.frames_per_day, gate.bytes_per_day, gate.shares) == (20.0, None, 2500, {})
    yard = node.policy_of("yard", central)
    assert (yard.frames_per_hour, yard.bytes_per_day) == (10, 500)  # what the camera says for itself stays
    assert config.shared(central, "other").frames_per_hour == 8.0


def test_config__is_frozen() -> None:
    with pytest.raises(ValidationError):
        config.parse("").node = "other"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mqtt:\n  hots: x\n", "node.yaml:2: mqtt.hots: unknown key; there are: host, port"),
        ("nod: x\n", "node.yaml:1: nod: unknown key; there are: node, site"),
        ("cameras:\n  a:\n    source: x\n    fsp: 3\n", "node.yaml:4: cameras.a.fsp: unknown key; there are: source"),
        ("cameras:\n  a:\n    policy:\n      x: 3\n    source: y\n", "node.yaml:4: cameras.a.policy.x: unknown key"),
        ("mqtt:\n  port: '1883'\n", "node.yaml:2: mqtt.port: input should be a valid integer"),
        ("mqtt:\n  port: 70000\n", "node.yaml:2: mqtt.port: input should be less than or equal to 65535"),
        ("policy:\n\n  audit_share: 2\n", "node.yaml:3: policy.audit_share: input should be less than"),
        ("node: a/b\n", "node.yaml:1: node: string should match"),
        ("node: 'a+'\n", "node.yaml:1: node: string should match"),
        ("policy:\n  policy: bugdet\n", "node.yaml:2: policy.policy: no policy 'bugdet'; there are: "),
        ("cameras: {a: {source: x, policy: {policy: b}}}\n", "node.yaml:1: cameras.a.policy.policy: no policy 'b'"),
        ("redact:\n  detectors:\n    - {pak: x}\n", "node.yaml:3: redact.detectors.0.pak: unknown key; there"),
        ("redact:\n  detectors:\n    - {labels: [x]}\n", "node.yaml:3: redact.detectors.0.pack: is missing"),
        ("cameras:\n  a: {source: x, decode: gpu}\n", "node.yaml:2: cameras.a.decode: input should be 'auto', 'soft"),
        ("cameras:\n  a/b: x\n", "node.yaml:2: cameras.a/b: string should match"),
        ("cameras:\n  a: {fps: 3}\n", "node.yaml:2: cameras.a.source: is missing"),
        ("cameras:\n  a: {source: x, latitude: 3}\n", "node.yaml:2: cameras.a: give latitude and longitude"),
        ("cameras:\n  a: {source: x, latitude: 91, longitude: 0}\n", "node.yaml:2: cameras.a.latitude: input"),
        ("mqtt:\n  prefix: a/#\n", "node.yaml:2: mqtt.prefix: topic prefix 'a/#'"),
        ("mqtt:\n  tls: {cert: x}\n", "node.yaml:2: mqtt.tls: cert and key belong together"),
        ("mqtt:\n  tls: {check_name: false}\n", "node.yaml:2: mqtt.tls: check_name: false needs ca"),
        ("redact:\n  masks: [[[0, 0], [2, 0], [1, 1]]]\n", "node.yaml:2: redact.masks: points are shares"),
        ("a: 1\na: 2\n", "node.yaml:2: a: stands here twice"),
        ("- a\n", "node.yaml:1: must be a mapping"),
        ("mqtt: [\n", "node.yaml:2: not valid YAML"),
        ("mqtt: !!python/object:os.system {}\n", "node.yaml:1: mqtt: the tag"),
        ("node: ${MISSING}\n", "node.yaml:1: node: variable MISSING is not set; set it, or write ${MISSING:-default}"),
        ("mqtt:\n  password: ${file:/nonexistent}\n", "node.yaml:2: mqtt.password: /nonexistent cannot be read"),
    ],
)
def test_errors__name_file_line_and_key(text: str, line: str) -> None:
    found = errors(text)
    assert any(e.startswith(line) for e in found), found
    assert all("\n" not in e for e in found)


def test_errors__all_at_once() -> None:
    assert len(errors("nod: x\nmqtt: {port: 0}\npolicy: {min_gap_s: -1}\n")) == 3


@pytest.mark.parametrize(
    ("text", "environment", "value"),
    [
        ("${P}", {"P": "1884"}, 1884),
        ("${P:-1885}", {}, 1885),
        ("18${P}", {"P": "86"}, 1886),
    ],
)
def test_substitution__numbers(text: str, environment: dict[str, str], value: int) -> None:
    assert config.parse(f"mqtt:\n  port: {text}\n", environment=environment).mqtt.port == value


def test_substitution__is_not_searched_again() -> None:
    node = config.parse("mqtt:\n  password: ${A}\n", environment={"A": "${B}", "B": "no"})
    assert node.mqtt.password == "${B}"


def test_substitution__text_stays_text() -> None:
    node = config.parse("mqtt: {username: '${A}', version: '${V}'}", environment={"A": "true", "V": "5"})
    assert (node.mqtt.username, node.mqtt.version) == ("true", "5")


def test_substitution__a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pass word\n")
    node = config.parse(f"mqtt:\n  password: ${{file:{tmp_path}/secret}}\n")
    assert node.mqtt.password == "pass word"


def test_secrets__are_not_shown() -> None:
    assert "12345" not in repr(config.parse(WHOLE, environment={"SECRET": "12345"}))


def test_parse__a_bomb_of_aliases() -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9))
    assert "too many values" in errors(f"l0: &l0 [x]\n{levels}\n")[0]


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda p: None, "cannot be read"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
        (lambda p: p.write_bytes(b" " * 2_000_000), "more than"),
        (lambda p: p.mkdir(), "cannot be read"),
    ],
)
def test_load__what_is_no_file_of_settings(tmp_path: Path, write, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "node.yaml"
    write(path)
    with pytest.raises(ConfigError, match=said):
        config.load(path)


def undescribed(schema: dict) -> list[str]:  # type: ignore[type-arg]
    sections = {"NodeConfig": schema, **schema["$defs"]}
    fields = [(f"{n}.{k}", p) for n, s in sections.items() for k, p in s.get("properties", {}).items()]
    return [name for name, field in fields if not field.get("description")]


def test_schema__every_field_is_described() -> None:
    assert undescribed(config.schema()) == []


def test_schema__forbids_unknown_keys() -> None:
    schema = config.schema()
    assert all(s.get("additionalProperties") is False for s in (schema, *schema["$defs"].values()))


def accepts(schema: dict[str, Any], value: Any, defs: dict[str, Any]) -> bool:
    """A validator of the parts of JSON schema that are used here."""
    if "$ref" in schema:
        return accepts(defs[schema["$ref"].rsplit("/", 1)[-1]], value, defs)
    if "anyOf" in schema:
        return any(accepts(option, value, defs) for option in schema["anyOf"])
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    kind = schema.get("type")
    if kind == "object":
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        return isinstance(value, dict) and all(
            accepts(known[k], v, defs) if k in known else any(accepts(p, v, defs) for p in patterns.values())
            for k, v in value.items()
        )
    if kind == "array":
        return isinstance(value, list) and all(accepts(schema.get("items", {}), v, defs) for v in value)
    if kind in kinds and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return False
    return value in schema["enum"] if "enum" in schema else True


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (WHOLE, True),
        ("mqtt: {port: '${PORT}'}", True),
        ("mqtt: {port: 'x'}", False),
        ("cameras: {a: 0, b: 'rtsp://x', c: {source: x, paced: '${P:-true}', decode: '${D}'}}", True),
        ("cameras: {a: [x]}", False),
        ("redact: {detectors: [{pack: faces.wpack, labels: [face], score: 0.2}]}", True),
        ("mqtt: {hots: x}", False),
        ("cameras: {a: {source: x, decode: gpu}}", False),
    ],
)
def test_editor_schema__takes_what_the_node_takes(text: str, good: bool) -> None:
    schema = editor_schema()
    assert accepts(schema, yaml.safe_load(text), schema["$defs"]) == good
