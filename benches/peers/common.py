"""What the comparisons share: where things are, our programs, the machine, and tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
INSTANCES = PROJECT.parent / "shared" / "data" / "compose"


def ours(program: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """The JSON lines that one of our programs prints, as they come; `benches/peers/run` has built it."""
    path = PROJECT / "target" / "release" / program
    if not path.exists():
        raise SystemExit(f"{path} is missing; run: cargo build --release -p fulcrum-benches --bins")
    with subprocess.Popen([path, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode != 0:
        raise SystemExit(f"{program} failed with {process.returncode}")


def machine() -> str:
    """The processor, its cores, and the day."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores, {datetime.now(timezone.utc):%Y-%m-%d}"


def line(cells: list[str], widths: list[int]) -> str:
    """A row of a table: the first cell to the left, numbers to the right."""
    return "  ".join(
        cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(cells, widths))
    ).rstrip()


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    """Writes the numbers of a run, if a file is asked for."""
    if path is not None:
        path.write_text(json.dumps(document, indent=1) + "\n")
