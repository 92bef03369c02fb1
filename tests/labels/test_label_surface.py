"""What the package shows, and what it may lean on."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from mlimg_build import labels

MAY_IMPORT = {
    *(
        f"mlimg_build.{name}"
        for name in (
            "category_ids",
            "errors",
            "label_states",
            "labels",
            "missing_values",
            "quantities",
            "wordnet",
        )
    ),
    *("numpy", "scipy"),
}


def test_the_surface_is_the_public_names() -> None:
    folder = Path(labels.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.iterdir() if path.is_dir()
    }
    public = [
        name for name in vars(labels) if not name.startswith("_") and name not in modules | {"annotations"}
    ]
    assert sorted(labels.__all__) == sorted(public)


def test_labels_lean_on_wordnet_errors_numpy_and_scipy_only() -> None:
    for path in Path(labels.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                parts = name.split(".")
                package = ".".join(parts[:2]) if parts[0] == "mlimg_build" else parts[0]
                assert package in MAY_IMPORT or package in sys.stdlib_module_names, (
                    f"{path.name} imports {name}"
                )
