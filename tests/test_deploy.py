"""The container image and the compose file: what can be tested without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatelodge.settings import Settings
from tests.support.server import free_port

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE_FILE = ROOT / "compose.yaml"

PINNED = re.compile(r"[a-z][a-z0-9./-]*:[0-9]+\.[0-9]+[a-z0-9.-]*")
SECRET_WORDS = re.compile(r"SECRET|PASSWORD|TOKEN|KEY|CREDENTIAL")


def test_the_dockerfile_has_nothing_for_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    _assert_succeeds([str(hadolint), str(DOCKERFILE)])


def test_the_compose_file_follows_the_published_schema() -> None:
    """The schema is that of the compose specification; the package check-jsonschema brings it."""
    checker = [sys.executable, "-m", "check_jsonschema"]

    _assert_succeeds([*checker, "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)])


def test_docker_accepts_the_compose_file() -> None:
    """The test needs Docker with its compose plugin, and no running engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        pytest.skip("there is no `docker compose` here")

    _assert_succeeds([docker, "compose", "--file", str(COMPOSE_FILE), "config", "--quiet"])


def test_every_image_is_pinned_to_a_release() -> None:
    images = [text.split()[0] for text in _instructions("FROM")]
    images += [service["image"] for service in _services().values()]

    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_the_image_built_is_named_for_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert _services()["gatelodge"]["image"] == f"gatelodge:{version}"


def test_everything_copied_into_the_image_exists_and_reaches_the_builder() -> None:
    sources = [
        source.removeprefix("./")
        for text in _instructions("COPY")
        if not text.startswith("--from=")
        for source in text.split()[:-1]
    ]

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert _let_through_by_dockerignore() == set(sources)


def test_nothing_runs_as_root() -> None:
    users = [_instructions("USER")[-1], *(each["user"] for each in _services().values())]

    assert [user for user in users if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)] == []


def test_the_image_and_the_compose_file_mean_the_same_user() -> None:
    assert _services()["gatelodge"]["user"] == _instructions("USER")[-1]


@pytest.mark.parametrize("name", ["gatelodge", "mongodb"])
def test_a_service_can_change_nothing_but_its_data(name: str) -> None:
    """OWASP Docker Security Cheat Sheet, rules 3 (capabilities), 4 and 8 (read-only)."""
    service = _services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "network_mode"} & service.keys()
    assert all(volume.split(":")[0] in _compose()["volumes"] for volume in service["volumes"])


def test_only_gatelodge_is_published_and_only_to_this_machine() -> None:
    published = {name: each["ports"] for name, each in _services().items() if "ports" in each}

    assert published == {"gatelodge": ["127.0.0.1:8080:8080"]}


def test_mongodb_is_on_no_network_but_the_one_it_shares_with_gatelodge() -> None:
    """It runs without passwords, so nothing else may be on that network."""
    on_it = [name for name, each in _services().items() if "database" in each["networks"]]

    assert _services()["mongodb"]["networks"] == ["database"]
    assert _compose()["networks"]["database"] == {"internal": True}
    assert on_it == ["gatelodge", "mongodb"]


def test_gatelodge_waits_for_a_database_that_can_be_written_to() -> None:
    services = _services()

    assert services["gatelodge"]["depends_on"] == {"mongodb": {"condition": "service_healthy"}}
    assert "isWritablePrimary" in services["mongodb"]["healthcheck"]["test"][-1]


def test_one_name_of_the_replica_set_is_used_throughout() -> None:
    mongodb = _services()["mongodb"]
    named = [
        mongodb["command"][mongodb["command"].index("--replSet") + 1],
        _found(r'_id: "(\w+)"', mongodb["healthcheck"]["test"][-1]),
        _found(r"replicaSet=(\w+)", _services()["gatelodge"]["environment"]["GATELODGE_DATABASE"]),
    ]

    assert named == ["gatelodge"] * 3


def test_every_secret_is_a_file_that_neither_git_nor_the_image_sees() -> None:
    files = [secret["file"] for secret in _compose()["secrets"].values()]

    assert all(file.startswith("./secrets/") for file in files)
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets" not in _let_through_by_dockerignore()


def test_a_secret_reaches_a_service_only_as_the_path_of_its_file() -> None:
    for service in _services().values():
        mounted = {f"/run/secrets/{name}" for name in service.get("secrets", [])}
        named = {
            name: value
            for name, value in service["environment"].items()
            if SECRET_WORDS.search(name)
        }

        assert all(name.endswith("_FILE") for name in named)
        assert set(named.values()) == mounted


def test_every_setting_named_is_one_that_gatelodge_reads() -> None:
    known = {f"GATELODGE_{field.upper()}" for field in Settings.model_fields}
    text = DOCKERFILE.read_text() + COMPOSE_FILE.read_text()

    assert set(re.findall(r"GATELODGE_[A-Z_]+", text)) <= known


def test_the_command_of_the_image_is_found_healthy_and_stops_when_told(tmp_path: Path) -> None:
    """The command and the health check of the image run here, on another port."""
    port = free_port()
    command = _exec_form("ENTRYPOINT") + [
        word.replace("0.0.0.0", "127.0.0.1").replace("8080", str(port))
        for word in _exec_form("CMD")
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "GATELODGE_DATA_DIR": str(tmp_path / "data")}

    with subprocess.Popen(command, env=environment, cwd=tmp_path) as server:
        try:
            healthy = _becomes_healthy(server, port, within=20)
        finally:
            server.terminate()  # sends SIGTERM, the STOPSIGNAL of the image
            stopped = server.wait(timeout=20)

    assert _instructions("STOPSIGNAL") == ["SIGTERM"]
    assert (healthy, stopped) == (True, 0)
    assert not _is_healthy(port)


def _becomes_healthy(server: subprocess.Popen[bytes], port: int, within: float) -> bool:
    """Wait until the health check succeeds. Return False if the server ends or time runs out."""
    deadline = time.monotonic() + within
    while server.poll() is None and time.monotonic() < deadline:
        if _is_healthy(port):
            return True
        time.sleep(0.2)
    return False


def _is_healthy(port: int) -> bool:
    """Run the image's health check for the server on this port."""
    check = [word.replace("8080", str(port)) for word in _exec_form("HEALTHCHECK")]
    check[0] = sys.executable
    return subprocess.run(check, check=False, capture_output=True).returncode == 0


def _assert_succeeds(command: list[str]) -> None:
    """Run a program. If it fails, show its output."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def _exec_form(name: str) -> list[str]:
    """Return the words of the command in the last instruction of this name."""
    text = _instructions(name)[-1]
    words: list[str] = json.loads(text[text.index("[") :])
    return words


def _instructions(name: str) -> list[str]:
    """Return the arguments of each instruction of this name in the Dockerfile."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    return re.findall(rf"^{name} +(.*)$", text, flags=re.MULTILINE)


def _let_through_by_dockerignore() -> set[str]:
    """Return the paths that .dockerignore allows. Its first rule must exclude everything."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return {rule.removeprefix("!") for rule in rules if rule.startswith("!")}


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None
    return match[1]


def _services() -> dict[str, Any]:
    services: dict[str, Any] = _compose()["services"]
    return services


def _compose() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return compose
