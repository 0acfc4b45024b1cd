"""Inputs as strangers bring them, from the developers' folder: each is handled as a person would expect.

They stand for kinds, which the tests of each room try in more cases.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_strangers_are_served(shared: Path) -> None:
    lookalike = Path(sys.executable).with_name("lookalike")
    check: list[str | Path] = [sys.executable, shared / "tools" / "check_strangers.py", lookalike]
    done = subprocess.run(check, capture_output=True, text=True, timeout=170)
    assert re.findall("^falls short.*", done.stdout, re.MULTILINE) == []
    assert done.returncode == 0, done.stdout + done.stderr
