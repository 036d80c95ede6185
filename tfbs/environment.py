"""What a result depends on beside data and settings: code, packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def git_state() -> dict[str, str]:
    """Commit of the project and whether its files differ from it; empty outside a git checkout."""
    here = Path(__file__).parent

    def git(*command: str) -> str:
        return subprocess.run(["git", "-C", here, *command], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": str(bool(git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        return {}


def packages() -> list[str]:
    """Return ``name==version`` of every installed package, as pip freezes them."""
    return sorted({f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()}, key=str.lower)


def machine() -> dict[str, Any]:
    """Return versions and sizes that can change the last digits or the seconds of a result."""
    return {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
