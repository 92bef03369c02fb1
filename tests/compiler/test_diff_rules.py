"""`mlimg diff` names the rules that changed, and what each change of labels follows from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.diff.comparison import as_json, compare
from mlimg_build.compiler.diff.loading import compare_paths, side_of
from mlimg_build.compiler.diff.markdown import as_markdown
from mlimg_build.compiler.diff.sections import sections, summary
from mlimg_build.compiler.diff.shared_names import with_distinct_names
from mlimg_build.compiler.diff.snapshot import Category, Mapped, Pair, Side
from mlimg_build.compiler.lock.rule_changes import RuleChange, rule_changes
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.spec import load_spec
from mlimg_build.spec.dataset_rules import UNKNOWN, stored_rules
from tests.support.command import mlimg
from tests.support.runs import inline

ROOM, BOWL = "n04446276", "n04446521"
CLASH = (
    "animal absent and cat present contradict in 5 images: neither stands now, absence stood before",
    "annotation.conflicts changed",
)


@pytest.fixture(scope="module")
def copy(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection for specs that differ."""
    return Path(shutil.copytree(collection, tmp_path_factory.mktemp("rules") / "copy"))


def edited(copy: Path, name: str, *edits: tuple[str, str]) -> Path:
    """A spec beside that of the collection, with texts replaced."""
    text = (copy / "small.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = copy / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def dropping(copy: Path) -> Path:
    """The spec with contradictions dropped instead of decided."""
    return edited(copy, "dropping", ("dataset:\n", "annotation:\n  conflicts: drop\ndataset:\n"))


def side(kind: str = "lock", **more: object) -> Side:
    """A side with nothing but what is given."""
    empty = Side("a", kind, {}, {}, 0, 1.0, {}, {}, {}, vetoes=False, splits={})
    return replace(empty, **more)  # type: ignore[arg-type]


def test_a_changed_rule_is_a_section_with_its_line_and_a_cause(copy: Path, dropping: Path) -> None:
    found = compare_paths(copy / "small.yaml", dropping, copy / "out", inline())
    assert len(found.rules) == 1
    line = 1 + dropping.read_text().splitlines().index("  conflicts: drop")
    told = {
        "rule": "annotation.conflicts",
        "before": "prefer_verified",
        "after": "drop",
        "place": f"dropping.yaml:{line}",
    }
    assert json.loads(json.dumps(as_json(found)))["rules"] == [told]
    assert summary(found).startswith("1 rule changed, ")
    assert f"| annotation.conflicts | prefer\\_verified | drop | dropping.yaml:{line} |" in as_markdown(found)
    animal = next(row for row in found.effects if row.name == "animal")
    assert animal.changes["absent_stated"] == -5
    assert animal.because == CLASH
    assert all(row.because for row in found.effects)
    done = mlimg("diff", "small.yaml", dropping.name, "--out", "out", cwd=copy)
    assert "Rules that changed\n" in done.stdout


def test_the_rules_of_locks_and_datasets_are_those_of_their_specs(
    built: Built, copy: Path, dropping: Path, tmp_path: Path
) -> None:
    lock(load_spec(dropping), copy / "out", tmp_path / "dropping.lock", inline())
    found = compare_paths(built.lock, tmp_path / "dropping.lock", tmp_path, inline())
    assert [str(rule) for rule in found.rules] == ["annotation.conflicts: prefer_verified → drop"]
    assert all("annotation.conflicts changed" in row.because for row in found.effects)
    other = build(load_spec(dropping), tmp_path / "out", inline())
    found = compare_paths(built.dataset, other.dataset, tmp_path, inline())
    assert [(str(rule), rule.place.split(":")[0]) for rule in found.rules] == [
        ("annotation.conflicts: prefer_verified → drop", "dropping.yaml")
    ]
    assert next(row for row in found.effects if row.name == "animal").because == CLASH


def test_a_lock_without_rules_says_so(built: Built, dropping: Path, copy: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(built.lock, tmp_path / "old.lock"))
    head = (old / "lock.yaml").read_text()
    start = head.index("rules:\n")
    (old / "lock.yaml").write_text(head[:start] + head[head.index("wordnet:\n", start) :])
    found = compare_paths(old, dropping, copy / "out", inline())
    assert (found.rules, found.rules_missing) == ((), (str(old),))
    facts = next(section for section in sections(found) if section.title == "Facts")
    assert ("rules", "not compared:", f"{old} does not have them") in facts.rows


def test_what_a_dataset_wrote_with_a_variable_is_not_guessed(copy: Path, tmp_path: Path) -> None:
    text = (copy / "small.yaml").read_text() + "split: {validation: '${SHARE:-0.5}'}\n"
    found = stored_rules(text, "small.yaml", tmp_path)
    assert found is not None
    plain = stored_rules((copy / "small.yaml").read_text(), "small.yaml", tmp_path)
    assert plain is not None
    assert [*rule_changes(plain[0], found[0])] == []
    differ = compare(side(rules=plain[0], head={"spec": "a"}), side(rules=found[0], head={"spec": "b"}))
    assert differ.rules_unknown == ("split.validation",)
    assert "split.validation, written with variables" in as_markdown(differ).replace("\\", "")


def test_a_part_with_an_unknown_value_is_told_without_it() -> None:
    part = {"min_score": UNKNOWN, "min_images": 5}
    sides = [side(rules={"annotation": {"cooccurrence": one}}) for one in (part, None)]
    (told,) = json.loads(json.dumps(as_json(compare(*sides))))["rules"]
    assert (told["before"], told["after"]) == ({"min_images": 5}, None)
    assert "{min_images: 5}" in as_markdown(compare(*sides)).replace("\\", "")


def test_a_long_list_tells_what_came_and_went() -> None:
    old = [f"n{i:08}" for i in range(8)]
    assert str(RuleChange(("vocabulary", "exclude"), old, [*old[1:], "n00000009", "n00000010"])) == (
        "vocabulary.exclude: 8 entries, without n00000000 → 9 entries, with n00000009, n00000010"
    )


def test_a_file_with_another_content_is_a_changed_rule() -> None:
    rules = {"vocabulary": {"mapping": {"file": "maps.csv"}}}
    sides = [side(rules=rules, files={"vocabulary.mapping.file": f"{one * 64}  maps.csv"}) for one in "ab"]
    found = compare(*sides)
    assert [rule.key for rule in found.rules] == ["vocabulary.mapping.file"]
    assert "aaaaaaaaaaaa…  maps.csv" in as_markdown(found)


WITH = {  # a change of each rule → the position of a count that it explains
    ("annotation", "positives"): 1,
    ("annotation", "negatives"): 4,
    ("annotation", "machine_levels"): 1,
    ("annotation", "conflicts"): 0,
    ("annotation", "cooccurrence", "min_images"): 2,
    ("sources", "one", "min_confidence"): 0,
}


@pytest.mark.parametrize(("path", "column"), WITH.items())
def test_a_rule_is_the_cause_of_the_labels_that_it_makes(path: tuple[str, ...], column: int) -> None:
    def holding(value: str, count: int) -> Side:
        rules: dict[str, object] = {path[-1]: value}
        for key in reversed(path[:-1]):
            rules = {key: rules}
        labels = tuple(count if i == column else 0 for i in range(5))
        return side(
            rules=rules,
            categories={ROOM: Category(ROOM, "toilet", (), labels)},
            mappings={("one", "a"): Mapped("a", ROOM, "used", "file")},
        )

    (effect,) = compare(holding("x", 4), holding("y", 2)).effects
    assert f"{'.'.join(path)} changed" in effect.because
    if path != ("annotation", "conflicts") and path[0] != "sources":
        labels = tuple(int(i == 3) for i in range(5))
        other = replace(holding("y", 0), categories={ROOM: Category(ROOM, "toilet", (), labels)})
        (effect,) = compare(holding("x", 0), other).effects
        assert effect.because == ()


@pytest.mark.parametrize(
    "path",
    [
        ("vocabulary", "join", ROOM),
        ("vocabulary", "collapse"),
        ("vocabulary", "exclude_below"),
        ("hierarchy", "parents"),
    ],
)
def test_rules_of_the_vocabulary_are_the_cause_where_categories_changed(path: tuple[str, ...]) -> None:
    def holding(value: str, parents: tuple[str, ...], count: int) -> Side:
        rules: dict[str, object] = {path[-1]: value}
        for key in reversed(path[:-1]):
            rules = {key: rules}
        above = Category(ROOM, "toilet", (), (0, count, 0, 0, 0))
        return side(
            rules=rules, categories={ROOM: above, BOWL: Category(BOWL, "bowl", parents, (3, 0, 0, 0, 0))}
        )

    (effect,) = compare(holding("x", (), 0), holding("y", (ROOM,), 3)).effects
    assert f"{'.'.join(path)} changed" in effect.because
    (effect,) = compare(holding("x", (), 0), holding("y", (), 3)).effects
    assert f"{'.'.join(path)} changed" not in effect.because


def test_rules_of_which_each_may_be_the_cause_are_told_as_such() -> None:
    sides = [
        side(
            rules={"annotation": {"positives": one, "cooccurrence": {"min_images": one}}},
            categories={ROOM: Category(ROOM, "toilet", (), (0, 0, count, 0, 0))},
        )
        for one, count in (("a", 1), ("b", 5))
    ]
    (effect,) = compare(*sides).effects
    assert effect.because[-1] == (
        "one or more of annotation.positives, annotation.cooccurrence.min_images changed"
    )


@pytest.mark.parametrize(("kind", "said"), [("lock", "up to 2 labels"), ("dataset", "2 labels")])
def test_pairs_are_causes_by_what_they_add(kind: str, said: str) -> None:
    names = {"n00000001": "person", "n00000002": "backpack", "n00000003": "ball", "n00000004": "chair"}

    def paired(pairs: dict[tuple[str, str], Pair], count: int) -> Side:
        categories = {
            wnid: Category(wnid, name, (), (0, 0, count if name == "person" else 0, 0, 0))
            for wnid, name in names.items()
        }
        return side(kind, categories=categories, pairs=pairs)

    pairs = {
        (low, "n00000001"): Pair("1.0", "0.6", False, 2 if names[low] == "chair" else 0)
        for low in names
        if low != "n00000001"
    }
    found = compare(paired({}, 0), paired(pairs, 2))
    (effect,) = found.effects
    assert effect.because == (f"chair adds person now: {said}", "co-occurrence adds labels now")
    assert "pairs of co-occurring categories: 3 added" in summary(found)
    assert "changed" not in summary(found)
    assert found.pairs[0].antecedent == "n00000004"
    back = compare(paired(pairs, 2), paired({}, 0))
    assert back.effects[0].because[0] == f"chair adds person no longer: {said}"
    assert "pairs of co-occurring categories: 3 removed" in summary(back)


def test_a_dataset_counts_what_each_pair_added(collection: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(collection, tmp_path / "copy"))
    said = (copy / "crowd" / "labels.csv").read_text()
    for i in range(0, 40, 8):  # nobody denies the cats there: what is refuted teaches nothing
        said = said.replace(f"m{i:02},verification,/m/animal,0\n", "")
    (copy / "crowd" / "labels.csv").write_text(said)
    rule = "{learn_from: [crowd], min_probability: 0.3, min_images: 2, doubtful: use}"
    adding = edited(copy, "adding", ("dataset:\n", f"annotation:\n  cooccurrence: {rule}\ndataset:\n"))
    built = build(load_spec(adding), tmp_path / "out", inline())
    told = side_of(built.dataset, tmp_path, inline())
    adds = {told.name(low): pair.adds for (low, _), pair in told.pairs.items()}
    assert sum(adds.values()) == sum(
        row.labels[2] for row in told.categories.values() if row.name == "motorcycle"
    )
    assert adds == {
        "animal": 30,
        "cat": 0,
    }  # both have the same images, and one of them is the label's origin


def test_signed_source_categories_are_counted_apart() -> None:
    def mapped(method: str, into: str) -> Side:
        mappings = {
            ("one", "a"): Mapped("Toilet", into, "used", method, wnid=into),
            ("one", "b"): Mapped("Car", ROOM, "used", method, wnid=ROOM),
        }
        return side(mappings=mappings, categories={ROOM: Category(ROOM, "toilet", (), (1,) * 5)})

    found = compare(mapped("lemma", ROOM), mapped("file", BOWL))
    assert summary(found).endswith(
        "1 source category mapped elsewhere, 1 source category decided otherwise with the same destination"
    )
    titles = {section.title: len(section.rows) for section in sections(found)}
    assert titles["Source categories that are mapped elsewhere"] == 1
    assert titles["Source categories decided otherwise with the same destination"] == 1


def test_categories_of_one_name_are_told_apart_across_the_sides() -> None:
    sides = [
        side(
            categories={wnid: Category(wnid, "toilet", (), (2, 0, 0, 0, 0))},
            mappings={("one", "a"): Mapped("Toilet", wnid, "used", "file")},
        )
        for wnid in (ROOM, BOWL)
    ]
    found = compare(*with_distinct_names(*sides))
    assert {row.because[0] for row in found.effects} == {
        f'dropped: one:a "Toilet" goes into toilet (plumbing fixture) {BOWL} now',
        f'added: one:a "Toilet" came from toilet (room) {ROOM}',
    }
    unknown = replace(sides[1], categories={"own:toilet": Category("own:toilet", "toilet", (), (0,) * 5)})
    named = with_distinct_names(sides[0], unknown)
    assert {one.name(wnid) for one in named for wnid in one.categories} == {
        f"toilet {ROOM}",
        "toilet own:toilet",
    }
