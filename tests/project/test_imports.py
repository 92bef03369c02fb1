"""The packages import in one direction only, and light things stay light."""

from __future__ import annotations

import ast
import importlib
import resource
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mlimg_build

ROOT = Path(__file__).resolve().parents[2] / "mlimg_build"
ALLOWED = {
    "errors": set(),
    "atomic": {"errors"},
    "category_ids": set(),
    "csv_cells": set(),
    "digests": {"regular_files"},
    "printable": set(),
    "quantities": set(),
    "regular_files": set(),
    "label_states": set(),
    "missing_values": set(),
    "text_limits": set(),
    "spec": {"category_ids", "errors", "regular_files", "wordnet"},  # when a name is written for an id
    "wordnet": {"category_ids", "errors", "regular_files"},
    "labels": {"category_ids", "errors", "label_states", "missing_values", "quantities", "wordnet"},
    "sources": {"errors", "label_states", "missing_values", "regular_files", "spec", "text_limits"},
    "images": {"errors"},
    "fetch": {"atomic", "digests", "errors", "printable", "regular_files", "sources"},
    "dataset": {"atomic", "errors", "regular_files"},
    "training": {"atomic", "csv_cells", "digests", "errors", "regular_files", "spec", "images", "dataset"},
    "report": {"atomic", "errors", "regular_files", "dataset", "labels"},
    "exporters": {"atomic", "csv_cells", "errors", "regular_files", "dataset"},
    "explain": {"category_ids", "errors", "quantities", "spec", "wordnet", "labels", "sources", "dataset"},
    "compiler": {
        *(
            "atomic",
            "category_ids",
            "csv_cells",
            "digests",
            "printable",
            "quantities",
            "regular_files",
            "errors",
            "label_states",
            "missing_values",
            "text_limits",
            "spec",
            "wordnet",
            "labels",
            "sources",
            "images",
            "dataset",
            "fetch",
        ),
        *("training", "report", "explain", "exporters"),
    },
    "terminal": {
        "errors",
        "printable",
        "quantities",
        "regular_files",
        "spec",
        "compiler",
        "explain",
        "exporters",
        "dataset",
        "fetch",
    },
    "__main__": {"cli"},
    "cli": {
        *(
            "atomic",
            "printable",
            "quantities",
            "regular_files",
            "errors",
            "spec",
            "wordnet",
            "compiler",
            "explain",
            "exporters",
            "dataset",
            "training",
            "terminal",
        ),
    },
    "__init__": {"errors", "spec", "dataset", "training", "compiler"},  # when a name is used
}
ROOMS = (  # of the compiler, each of which sees those before it
    *(
        "watchers",
        "build_result",
        "engine",
        "catalog",
        "facts",
        "source_columns",
        "releases",
        "understood",
        "plan",
        "copies",
    ),
    *("run", "lock", "lint", "takedown"),
    *(
        "urls",
        "listings",
        "plan_stage",
        "lock_stage",
        "run_stage",
        "pipeline",
        "model_stage",
        "requirements",
        "report_stage",
        "training_run_files",
    ),
    *("cache_stage", "proposal", "diff"),
)
FOREIGN = {  # packages that only some may touch
    "torch": {"training"},
    "torchvision": {"training"},
    "torchmetrics": {"training"},
    "safetensors": {"training"},
    "timm": {"training"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "matplotlib": {"report"},
    "dask": {"compiler"},
    "distributed": {"compiler"},
    "zarr": {"dataset"},
    "nltk": {"wordnet"},
    "pydantic": {"spec", "training", "dataset"},
    "yaml": {"spec", "compiler"},
    "rich": {"terminal"},
    "typer": {"cli"},
    "PIL": {"images"},
    "pillow_heif": {"images"},
    "rapidfuzz": {"wordnet"},
    "simplejpeg": {"images"},
    "aiodns": {"fetch"},
    "aiohttp": {"fetch"},
    "protego": {"fetch"},
    "obstore": {"fetch"},
    "uvloop": {"fetch"},
}


def modules() -> list[tuple[str, Path]]:
    """(package, file) of every module; a file at the top is a package of its own."""
    return [
        (path.relative_to(ROOT).parts[0].removesuffix(".py"), path) for path in sorted(ROOT.rglob("*.py"))
    ]


def imports(path: Path) -> set[str]:
    """The absolute names of everything that a file imports, wherever in the file."""
    found: set[str] = set()
    package = ["mlimg_build", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            found |= {prefix, *(f"{prefix}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(
    ("package", "path"), modules(), ids=lambda value: str(value).rsplit("mlimg_build/", 1)[-1]
)
def test_a_module_imports_only_what_the_design_allows(package: str, path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "mlimg_build"
            and len(parts) > 1
            and (ROOT / parts[1]).is_dir() | (ROOT / f"{parts[1]}.py").is_file()
        ):
            assert parts[1] in ALLOWED[package] | {package}, f"{path} imports {name}"
        if parts[0] in FOREIGN:
            assert package in FOREIGN[parts[0]], f"{path} imports {name}"


def rooms() -> list[tuple[str, Path]]:
    """(room, file) of every module of the compiler."""
    compiler = ROOT / "compiler"
    return [
        (path.relative_to(compiler).parts[0].removesuffix(".py"), path)
        for path in sorted(compiler.rglob("*.py"))
        if path != compiler / "__init__.py"
    ]


@pytest.mark.parametrize(("room", "path"), rooms(), ids=lambda value: str(value).rsplit("compiler/", 1)[-1])
def test_a_room_of_the_compiler_sees_only_those_before_it(room: str, path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        if parts[:2] == ["mlimg_build", "compiler"] and len(parts) > 2 and parts[2] != room:
            assert ROOMS.index(parts[2]) < ROOMS.index(room), f"{path} imports {name}"
        if parts[0] in ("dask", "distributed"):
            assert room == "engine", f"{path} imports {name}"


def test_no_two_rooms_of_a_package_import_each_other() -> None:
    """`labels.mapping` and `labels.hierarchy`, say; what lies beside the rooms is no room."""
    found: dict[str, set[str]] = {}
    for _, path in modules():
        *above, _ = path.relative_to(ROOT).parts
        if len(above) == 2:
            own = ".".join(above)
            names = [
                name.split(".")[1:3] for name in imports(path) if name.startswith(f"mlimg_build.{above[0]}.")
            ]
            others = {".".join(parts) for parts in names if (ROOT / Path(*parts)).is_dir()}
            found[own] = found.get(own, set()) | (others - {own})
    assert found.keys() >= {"compiler.engine", "dataset.read", "labels.mapping", "training.loop", "spec.yaml"}
    assert list(TopologicalSorter(found).static_order())  # a cycle is an error


def test_the_engine_knows_nothing_of_images_or_labels() -> None:
    for room, path in rooms():
        if room == "engine":
            names = [name.split(".") for name in imports(path)]
            known = {parts[1] for parts in names if parts[0] == "mlimg_build" and len(parts) > 1}
            assert known <= {"atomic", "errors", "regular_files", "spec", "compiler"}, path


def test_only_the_command_line_prints() -> None:
    for package, path in modules():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert not printing or package == "cli", path


@pytest.mark.parametrize(
    "name", ["spec", "wordnet", "labels", "sources", "images", "dataset", "training", "report", "exporters"]
)
def test_a_package_names_what_it_offers_and_has_it(name: str) -> None:
    package = importlib.import_module(f"mlimg_build.{name}")
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(hasattr(package, offered) for offered in package.__all__)
    assert package.__doc__


def test_the_public_surface_is_sorted() -> None:
    assert mlimg_build.__all__ == sorted(mlimg_build.__all__)


@pytest.mark.parametrize("name", ["mlimg_build", "mlimg_build.training"])
def test_a_lazy_surface_is_whole_and_loads_when_it_is_used(name: str) -> None:
    package = importlib.import_module(name)
    homes = {name for names in package._HOMES.values() for name in names}
    assert homes - {"load_model"} == set(package.__all__) - {"load_model"}  # the root's needs an extra
    assert all(hasattr(package, offered) for offered in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018  it is the look that raises
    code = f"import sys, {name}; sys.exit(bool({{'numpy', 'torch'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_compiler_loads_neither_dask_nor_torch_nor_pandas() -> None:
    code = (
        "import sys, mlimg_build.compiler.pipeline\n"
        "print(*{'dask', 'distributed', 'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_help_answers_at_once() -> None:
    command = [str(Path(sys.executable).with_name("mlimg")), "--help"]
    taken = []
    for _ in range(5):  # of the processor: a busy machine lets everybody wait
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert sorted(taken)[0] < 0.5
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import mlimg_build.cli"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert not any(
        f" {heavy}\n" in loaded for heavy in ("numpy", "zarr", "dask", "pyarrow", "pydantic", "scipy")
    )
