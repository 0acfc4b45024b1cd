"""compose.yaml has the form that its documents promise; no container engine is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# Those of the Compose Specification (compose-spec, schema/compose-spec.json) that are used here.
TOP = {"name", "services", "configs", "volumes"}
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


@pytest.mark.parametrize("name", SERVICES)
def test_a_password_comes_from_the_environment_and_must_be_there(name: str) -> None:
    secrets = [text for key, text in SERVICES[name]["environment"].items() if re.search("PASSWORD|PWD", key)]
    (secret,) = secrets
    assert re.fullmatch(rf"\$\{{LOOKALIKE_{name.upper()}_PASSWORD:\?[^}}]+\}}", secret)


def test_a_dollar_that_is_not_compose_s_is_doubled() -> None:
    text = re.sub(
        r"\$\{LOOKALIKE_[A-Z]+_PASSWORD(?::\?[^}]*)?\}|\$\$", "", (ROOT / "compose.yaml").read_text()
    )
    assert "$" not in text
