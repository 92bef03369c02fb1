"""Specs and backends."""

from __future__ import annotations

from pathlib import Path

from mlimg_build.spec import digest_of, file_paths, init_text, load_backend, load_spec, render, without_paths
from tests.fuzz.door import Door

__all__ = ["DOORS"]

ROOT = Path(__file__).resolve().parents[3]


def read_spec(path: Path) -> None:
    loaded = load_spec(path, {})
    for warning in loaded.warnings:
        render(warning, lambda file: loaded.text).encode()
    for keys, _, _ in file_paths(loaded):
        loaded.place(*keys)
    digest_of(without_paths(loaded.spec))


def spec_seeds() -> list[bytes]:
    texts = [init_text("name").encode()]
    for pattern in ("specs/*.yaml", "examples/*/*.yaml", "tests/nets/world/*.yaml"):
        texts += [path.read_bytes() for path in sorted(ROOT.glob(pattern))]
    return texts + [path.read_bytes() for path in sorted(ROOT.glob("tests/spec/errors/*.yaml"))[::4]]


def backend_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted(ROOT.glob("backends/*.yaml"))]


TOKENS = (
    *(
        b"sources:",
        b"type: ",
        b"folder",
        b"table",
        b"open_images",
        b"imagenet",
        b"ml_images",
        b"images: ",
        b"training:",
    ),
    *(
        b"<<: *a\n",
        b"? ",
        b"|\n",
        b">\n",
        b"---\n",
        b"...\n",
        b"%YAML 9999999999.1\n",
        b"!!binary",
        b"&a [*a]",
        b"0o7",
    ),
    *(
        b"'\\U00110000'",
        b'"\\U00110000"',
        b'"\\ud800"',
        b'"\\x"',
        b"1_000",
        b"1e5",
        b".inf",
        b"2001-01-01",
        b"${A:-b}",
    ),
    *(
        b"${",
        b"$$",
        b"${${A}}",
        b"n02084071",
        b"part_holonym: all",
        b"mapping: {file: x}",
        b"loss: {name: focal}",
    ),
)

DOORS = (
    Door("spec", read_spec, spec_seeds, ("spec.yaml",), tokens=TOKENS, tree=True, suffixes=(".yaml", ".yml")),
    Door(
        "backend",
        lambda path: load_backend(path, {}),
        backend_seeds,
        ("backend.yaml",),
        tokens=TOKENS,
        tree=True,
    ),
)
