"""Modules that import one another cannot be read one after the other: there are none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import respectra

ROOT = Path(respectra.__file__).parent


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Modules and names that code imports, in functions too; not what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((child.module, alias.name) for alias in child.names)
        yield from imported(child)


def test_no_modules_import_one_another() -> None:
    files = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = file
    graph: dict[str, set[str]] = {}
    for name, file in files.items():
        found = imported(ast.parse(file.read_text(encoding="utf-8")))
        targets = {full if (full := f"{m}.{n}") in files else m for m, n in found}
        graph[name] = (targets & set(files)) - {name}
    # Modules that import nothing that is left are taken away; what remains are circles.
    while ready := {name for name, targets in graph.items() if not targets}:
        graph = {name: targets - ready for name, targets in graph.items() if name not in ready}
    assert sorted(graph) == []
