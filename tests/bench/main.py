"""`./run bench [NAME] [--json FILE]`: run one benchmark and print its table.

A benchmark is a module of this folder with `run(home)`, which returns the rows of its table; its docstring's first
line says what it measures.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import platform
import sys
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Every benchmark with the first line of its docstring."""
    files = [path for path in sorted(HERE.glob("*.py")) if path.stem not in ("main", "conftest")]
    docs = {path.stem: ast.get_docstring(ast.parse(path.read_text())) or "" for path in files}
    return {name: text.partition("\n")[0] for name, text in docs.items() if text}


def machine() -> str:
    memory = psutil.virtual_memory().total / 1024**3
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def show(name: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=f"{name} ({machine()})")
    for heading in rows[0]:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row.values()))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def main() -> int:
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="./run bench", description="Run one benchmark.")
    parser.add_argument("name", nargs="?", default="", help=", ".join(known))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows for machines")
    wanted, rest = parser.parse_known_args()
    if wanted.name not in known:
        for name, line in known.items():
            print(f"{name:10} {line}")
        return 2 if wanted.name else 0
    home = Path(os.environ.get("ALMA_RESTORE_HOME") or HERE.parents[1] / "var").absolute() / "bench" / wanted.name
    home.mkdir(parents=True, exist_ok=True)
    tests, casa_side = HERE.parent, HERE.parents[1] / "include" / "casa_side"
    sys.path[:0] = map(str, (HERE, HERE / "load_parts", tests / "production", casa_side, tests))
    bench = importlib.import_module(wanted.name)
    if hasattr(bench, "options"):
        own = argparse.ArgumentParser(prog=f"./run bench {wanted.name}", description=known[wanted.name])
        bench.options(own)
        rows = bench.run(home, own.parse_args(rest))
    elif rest:
        parser.error(f"{wanted.name} takes no {' '.join(rest)}")
    else:
        rows = bench.run(home)
    show(wanted.name, rows)
    if wanted.json:
        wanted.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
