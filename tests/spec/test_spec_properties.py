"""Whatever the text, a spec loads or is refused with problems that can be shown."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlimg_build.errors import Problem, SpecError
from mlimg_build.spec import (
    CODES,
    canonical_json,
    file_paths,
    init_text,
    json_schema,
    parse_spec,
    render,
    without_paths,
)

FULL: dict[str, Any] = {
    "mlimg": 1,
    "name": "trial",
    "version": "1.0.0",
    "description": "all there is",
    "wordnet": {"path": "nouns.npz"},
    "sources": {
        "a": {"type": "imagenet", "images": "a", "licence": "x", "split": "train", "exclude": ["n00000001"]},
        "b": {
            "type": "open_images",
            "images": "b",
            "labels": ["l.csv"],
            "classes": "c.csv",
            "rights": "r.csv",
        },
        "c": {
            "type": "ml_images",
            "lists": "l.txt",
            "dictionary": "d.txt",
            "images": "c",
            "min_confidence": 0.5,
        },
        "d": {"type": "folder", "images": "${D:-d}", "exclude": "e.txt", "min_images_per_category": 2},
        "e": {
            "type": "table",
            "table": "t.csv",
            "images": "e",
            "columns": {"confidence": "c"},
            "separator": ";",
        },
        "f": {"type": "coco", "annotations": ["i.json"], "images": "f", "exhaustive": True},
        "w": {
            "type": "webdataset",
            "tars": ["{train,val}-{00..02}.tar", "*.tar"],
            "image": ["jpg", "png"],
            "fields": {"labels": "present.id", "confidence": "present.p", "absent": "absent"},
            "classes": "c.txt",
        },
        "g": {"type": "ilsvrc", "images": "v.tar", "labels": "val.txt", "synsets": "synsets.txt"},
    },
    "vocabulary": {
        "merge": ["same_id"],
        "join": {"n00000001": ["n00000002"]},
        "mapping": {"file": "m.csv", "unreviewed": "warn", "unresolved": "drop"},
        "include": ["n00000003"],
        "ancestors": "common",
        "exclude": ["n00000004"],
        "min_images_per_category": 3,
    },
    "hierarchy": {"relations": {"hypernym": "all", "part_holonym": "p.csv"}, "parents": {"tree": "t.txt"}},
    "annotation": {
        "positives": "none",
        "machine_levels": 1,
        "conflicts": "drop",
        "unlabelled": "keep",
        "cooccurrence": {"learn_from": ["a"], "min_probability": 0.6, "vetoes": "v.csv"},
    },
    "images": {"encoding": {"short_side": 256, "quality": 90}, "max_pixels": 1000},
    "split": {"validation": 0.1},
    "dataset": {"images_per_shard": 16, "chunk_bytes": "1 MiB", "shard_bytes": "4 MiB"},
    "training": {
        "model": "resnet18",
        "loss": {"kind": "bce"},
        "augmentation": {"crop_area": [0.5, 1]},
        "ema": 0.9,
    },
    "transfer": {"source": "a", "sizes": [{"epoch": 0, "size": 64}], "optimizer": {"momentum": 0}},
}

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["${X}", "${", "$$", "${Y:-3}", "n00000001", "folder", "all", "1 MiB", "<file>", "[key]", "~"]
    ),
)
odd_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def outcome(text: str) -> tuple[Problem, ...]:
    """The problems of the text; fails where it neither loads nor is refused as it must be."""
    try:
        loaded = parse_spec(text, "any.yaml", Path("/specs"), {"X": "7"})
    except SpecError as error:
        problems = error.problems or (Problem("no-problem", "refused without a reason"),)
    else:
        canonical_json(without_paths(loaded.spec))
        assert all(loaded.place(*where) for where, _, _ in file_paths(loaded))
        problems = loaded.warnings
    for problem in problems:
        assert problem.code in CODES
        assert problem.hint
        assert "\n" not in problem.message
        assert len(problem.message) < 2000
        shown = render(problem, lambda _: text)
        assert "^" in shown
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
    return problems


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, item in items for below in nodes(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def test_the_full_spec_loads() -> None:
    assert outcome(json.dumps(FULL)) == ()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(st.text(max_size=300))
def test_any_text_loads_or_is_refused(text: str) -> None:
    outcome(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.lists(
        st.sampled_from([*"{}[],:&*!|>'\"%@`#-? \n\t~\\", "<<", "---", "...", "\\U", "a", "1", "é", "\x00"]),
        max_size=40,
    )
)
def test_any_heap_of_yaml_marks_loads_or_is_refused(pieces: list[str]) -> None:
    outcome("".join(pieces))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(st.data())
def test_a_starter_spec_with_a_hole_loads_or_is_refused(data: st.DataObject) -> None:
    text = init_text("trial")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    outcome(text[:start] + data.draw(st.text(max_size=10)) + text[end:])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=250)
@given(st.sampled_from(nodes(FULL)[1:]), odd_values)
def test_a_full_spec_with_an_odd_value_loads_or_is_refused(path: tuple[Any, ...], value: Any) -> None:
    outcome(json.dumps(replaced(FULL, path, value)))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.sampled_from([path for path in nodes(FULL) if path and isinstance(path[-1], str)]))
def test_a_typo_in_a_key_is_said_at_the_key(path: tuple[Any, ...]) -> None:
    if path[:-1] in {("sources",), ("vocabulary", "join")}:
        return
    typo = f"{path[-1]}x"
    text = json.dumps(FULL, indent=1)
    parent = FULL
    for key in path[:-1]:
        parent = parent[key]
    renamed = {(typo if key == path[-1] else key): item for key, item in parent.items()}
    text = json.dumps(replaced(FULL, path[:-1], renamed), indent=1)
    problems = [problem for problem in outcome(text) if problem.place is not None]
    lines = text.splitlines()
    shown = {
        lines[p.place.line - 1][p.place.column - 1 :][: p.place.width]
        for p in problems
        if p.place is not None
    }
    assert f'"{typo}"' in shown or path[-1] == "type"
    if path[-1] != "type":
        assert any(problem.hint == f'did you mean "{path[-1]}"?' for problem in problems)


def test_the_schema_knows_every_key_of_the_full_spec() -> None:
    schema = json_schema()
    definitions = schema["$defs"]

    def below(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return below(definitions[node["$ref"].rsplit("/", 1)[1]])
        if "anyOf" in node:
            return [found for branch in node["anyOf"] for found in below(branch)]
        return [node]

    def check(value: Any, node: dict[str, Any], where: str) -> None:
        branches = below(node)
        if isinstance(value, dict):
            fits = [branch for branch in branches if branch.get("type") == "object"]
            tagged = [
                b
                for b in fits
                for key in ("type", "kind")
                if key in value and b.get("properties", {}).get(key, {}).get("const") == value[key]
            ]
            fits = [b for b in fits if len(fits) == 1 or value.keys() <= b.get("properties", {}).keys()]
            (branch,) = tagged or fits
            for key, item in value.items():
                rest = list(branch.get("patternProperties", {}).values())
                known = branch.get("properties", {}).get(key) or (rest[0] if rest else None)
                assert known is not None, f"{where}.{key}"
                check(item, known, f"{where}.{key}")
        else:
            kinds = {
                bool: "boolean",
                int: "integer",
                float: "number",
                str: "string",
                list: "array",
                type(None): "null",
            }
            wanted = {kinds[type(value)], "number" if type(value) is int else kinds[type(value)]}
            assert any(branch.get("type") in wanted or "const" in branch for branch in branches), where

    check(FULL, schema, "spec")
