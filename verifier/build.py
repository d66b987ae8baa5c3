"""Put the pure modules of `ledger/` and a command line together into one file: `python -m verifier.build`.

Two files come of it, the published verifier and the witness. They are committed, and a test compares them with what
this makes.
"""

import ast
import sys
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent
TARGET, WITNESS = FOLDER / "mtce_verify.py", FOLDER / "mtce_witness.py"
# Each file: the modules of ledger/ in the order of their needs, then its command line.
PARTS = {
    TARGET: (
        ["canon", "codes", "events", "custody", "commitments", "tree", "tiles", "notes", "receipts", "log", "disclosure",
         "draw", "runs", "audit"],
        "cli",
    ),
    WITNESS: (["tree", "tiles", "notes", "disk", "keys", "witnesses"], "witness"),
}  # fmt: skip
TOP = """#!/usr/bin/env python3
# Made by `python -m verifier.build` from ledger/ and verifier/; do not edit.
# ruff: noqa
"""


def build(target: Path = TARGET) -> str:
    """Text of one of the files; raises ValueError if two modules use the same name, or one needs a later or none of them."""
    modules, start = PARTS[target]
    sources = [BASE / "ledger" / f"{name}.py" for name in modules] + [FOLDER / f"{start}.py"]
    doc, imports, bodies = "", set[str](), list[str]()
    owner: dict[str, str] = {}
    for path in sources:
        text = path.read_text()
        tree, lines = ast.parse(text), text.splitlines()
        drop: set[int] = set()
        for node in tree.body:
            span = set(range(node.lineno - 1, (node.end_lineno or node.lineno)))
            if isinstance(node, ast.Import | ast.ImportFrom):
                drop |= span
                module = getattr(node, "module", None) or ""
                before = [f"ledger.{name}" for name in modules[: sources.index(path)]]
                if module.startswith("ledger") and module not in before:
                    raise ValueError(f"{path.name} needs {module}, which doesn't stand before it")
                if not module.startswith("ledger"):
                    imports.add("\n".join(lines[at] for at in sorted(span)))
            elif isinstance(node, ast.Expr) and node is tree.body[0]:
                drop |= span
                doc = ast.get_docstring(tree, clean=False) or ""
            for name in defined(node):
                if owner.setdefault(name, path.name) != path.name:
                    raise ValueError(f"{name} is in {owner[name]} and in {path.name}")
        kept = "\n".join(line for at, line in enumerate(lines) if at not in drop).strip("\n")
        bodies.append(f"# --- {path.parent.name}/{path.name} ---\n\n{kept}\n")
    return f'{TOP}"""{doc}"""\n\n' + "\n".join(sorted(imports)) + "\n\n\n" + "\n\n".join(bodies)


def defined(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


if __name__ == "__main__":
    for path in PARTS:
        path.write_text(build(path))
        sys.stderr.write(f"{path} written\n")
