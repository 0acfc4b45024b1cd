"""compose.yaml and the Containerfile have the form that their documents promise; no engine is asked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from lookalike.cli.group import load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVED: dict[str, dict[str, Any]] = {
    name.removeprefix("serve-"): each for name, each in COMPOSE["services"].items() if "serve" in name
}
SERVICES: dict[str, dict[str, Any]] = {
    name: each for name, each in COMPOSE["services"].items() if "serve" not in name
}

# Those of the Compose Specification (compose-spec, schema/compose-spec.json) that are used here.
TOP = {"name", "x-service", "services", "configs", "volumes"}
SERVICE = {"image", "environment", "ports", "volumes", "configs", "healthcheck", "shm_size"}
HEALTH = {"test", "interval", "timeout", "retries", "start_period"}


def test_it_has_the_three_servers_and_only_keys_of_the_specification() -> None:
    assert set(COMPOSE) == TOP
    assert set(SERVICES) == {"postgres", "elasticsearch", "oracle"}
    for service in SERVICES.values():
        assert set(service) <= SERVICE


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_checked_kept_and_reached_from_this_machine_alone(name: str) -> None:
    service = SERVICES[name]
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.search(r"\d", tag)
    assert set(service["healthcheck"]) == HEALTH
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    for key in ("interval", "timeout", "start_period"):
        assert re.fullmatch(r"\d+s", service["healthcheck"][key])
    (port,) = service["ports"]
    assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    (volume,) = service["volumes"]
    assert volume.partition(":")[0] in COMPOSE["volumes"]
    for config in service.get("configs", ()):
        assert config["source"] in COMPOSE["configs"]


def test_lookalike_is_served_over_each_store_and_over_a_file() -> None:
    assert set(SERVED) == {*SERVICES, "sqlite"}
    for name, service in SERVED.items():
        assert service["profiles"] == ["serve"]
        assert service["ports"] == ["127.0.0.1:8000:8000"]
        assert set(service.get("depends_on", ())) == {name} - {"sqlite"}
        url = service["environment"]["LOOKALIKE_STORE"]
        scheme, _, rest = url.partition("://")
        assert scheme.startswith({"postgres": "postgresql"}.get(name, name))
        port = SERVICES[name]["ports"][0].split(":")[1] if name in SERVICES else None
        assert port is None or f"@{name}:{port}" in rest


def test_the_container_has_every_extra_that_runs_there_and_no_rights() -> None:
    text = (ROOT / "Containerfile").read_text()
    installed = re.search(r'"\.\[(.*?)\]"', text)
    assert installed
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    # torch and Ray are large, the client is for elsewhere, the rest for whoever develops.
    left_out = {"all", "client", "demo", "ray", "testing", "torch"}
    assert set(installed[1].split(",")) == set(extras) - left_out
    assert "\nUSER 10001\n" in text
    declared = set(re.findall(r"LOOKALIKE_[A-Z]+(?==)", text))
    known = {option.envvar for option in load("serve").params if isinstance(option, click.Option)}
    assert declared <= known


@pytest.mark.parametrize("name", SERVICES)
def test_a_password_comes_from_the_environment_and_must_be_there(name: str) -> None:
    secrets = [text for key, text in SERVICES[name]["environment"].items() if re.search("PASSWORD|PWD", key)]
    (secret,) = secrets
    assert re.fullmatch(rf"\$\{{LOOKALIKE_{name.upper()}_PASSWORD:\?[^}}]+\}}", secret)


def test_a_dollar_that_is_not_compose_s_is_doubled() -> None:
    text = re.sub(
        r"\$\{LOOKALIKE_(?:[A-Z]+_PASSWORD(?::\?[^}]*)?|PICTURES:-\.)\}|\$\$",
        "",
        (ROOT / "compose.yaml").read_text(),
    )
    assert "$" not in text
