"""Telemetry of the packages we use: turned off before any of them is imported.

Each variable is set only where the user has not set it himself, and child processes inherit it.

- `ORT_DISABLE_TELEMETRY`: ONNX Runtime's builds for Linux collect since 1.29, by default: they write a
  device's id and a database below the user's cache folder and send them to Microsoft. 1 or true stop both if
  set before the import (tried with 1.31.1; 0, false and an empty value leave it on).
- `HF_HUB_DISABLE_TELEMETRY`: huggingface_hub and what uses it (transformers,
  sentence-transformers, timm, open_clip): https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
- `RAY_USAGE_STATS_ENABLED`: Ray: https://docs.ray.io/en/latest/cluster/usage-stats.html
- `DO_NOT_TRACK`: the agreement that other packages look for: https://consoledonottrack.com
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

ONNX_RUNTIME = "ORT_DISABLE_TELEMETRY"
"""The variable that ONNX Runtime looks at when it is imported."""

_HUB = "HF_HUB_DISABLE_TELEMETRY"
_OFF = {ONNX_RUNTIME: "1", _HUB: "1", "RAY_USAGE_STATS_ENABLED": "0"}
_EVERYBODY = "DO_NOT_TRACK"


def turn_off(environment: MutableMapping[str, str] | None = None) -> None:
    """Set what turns telemetry off, where the user has not said otherwise.

    Args:
        environment: by default the process's own.
    """
    environment = os.environ if environment is None else environment
    # The hub's client takes either of two: who sets its own to 0 wants it on.
    if _HUB not in environment:
        environment.setdefault(_EVERYBODY, "1")
    for name, value in _OFF.items():
        environment.setdefault(name, value)


def is_off(name: str) -> bool:
    """Tell whether a variable that disables something says so."""
    return os.environ.get(name, "").strip().lower() not in {"", "0", "false"}
