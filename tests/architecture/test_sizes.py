"""Files stay small enough to be read."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "optkit").rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def test_no_file_is_too_long() -> None:
    long = [str(file.relative_to(ROOT)) for file in FILES if len(file.read_text().splitlines()) > MAX_LINES]
    assert not long, "\n".join(long)


def test_no_function_is_too_long() -> None:
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.body[0].lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_files_are_near_a_hundred_lines() -> None:
    lengths = sorted(len(file.read_text().splitlines()) for file in FILES)
    assert lengths[len(lengths) // 2] <= 150
