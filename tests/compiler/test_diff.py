"""`mlimg diff`: what it says is the whole difference, the same from both ends, for specs, locks and datasets."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.diff.changes import Change, Differences
from mlimg_build.compiler.diff.comparison import as_json, compare
from mlimg_build.compiler.diff.loading import compare_paths, side_of
from mlimg_build.compiler.diff.markdown import LONGEST, as_markdown
from mlimg_build.compiler.diff.sections import sections, summary
from mlimg_build.compiler.diff.snapshot import COLUMN, Category, Mapped, Pair, Side, SourceFacts
from mlimg_build.compiler.lock.lock_reader import COUNTED
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.labels import FATES, RULES
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.command import mlimg
from tests.support.runs import inline

WNIDS = [f"n0000000{i}" for i in range(6)]
KEYS = [(source, category) for source in ("one", "two") for category in "abcd"]
EDITED = "  ancestors: common\n  exclude: [n02121620]\n"


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """Anything that a spec, a lock or a dataset may say; parents come before their children."""
    wnids = [wnid for wnid in WNIDS if draw(st.booleans())]
    numbers = st.tuples(*[st.integers(0, 3)] * len(COUNTED))
    categories = {
        wnid: Category(
            wnid, f"name of {wnid}", tuple(p for p in wnids[:i] if draw(st.booleans())), draw(numbers)
        )
        for i, wnid in enumerate(wnids)
    }
    mappings = {}
    for key in KEYS:
        fate = draw(st.sampled_from(["absent", *FATES]))
        if fate == "absent" or (fate == "used" and not wnids):
            continue
        into = draw(st.sampled_from(wnids)) if fate == "used" else ""
        method = draw(st.sampled_from(["file", "lemma"]))
        known = draw(st.booleans())  # a dataset knows no relation, score or images
        more = {"wnid": into, "relation": "same_as", "score": draw(st.sampled_from(["1.000", "0.500"]))}
        mappings[key] = Mapped(key[1], into, fate, method, **(more if known else {}))
    pairs = {}
    for low in wnids:
        for high in wnids:
            if low != high and draw(st.booleans()):
                pairs[low, high] = Pair(
                    draw(st.sampled_from(["0.6000", "0.7000"])), "0.5", draw(st.booleans())
                )
    return Side(
        title=draw(st.sampled_from(["a", "b|c"])),
        kind="lock",
        head={name: draw(st.sampled_from("xy")) for name in ("name", "spec") if draw(st.booleans())},
        sources={
            name: SourceFacts(draw(st.sampled_from("xy")), 1)
            for name in ("one", "two")
            if draw(st.booleans())
        },
        images=draw(st.integers(0, 2)),
        whole=draw(st.booleans()),
        categories=categories,
        mappings=mappings,
        pairs=pairs,
        vetoes=draw(st.booleans()),
        splits={split: draw(st.integers(0, 2)) for split in ("train", "validation") if draw(st.booleans())},
        stored="x",
    )


@given(sides())
def test_a_side_differs_from_itself_in_nothing(side: Side) -> None:
    found = compare(side, side)
    assert not found.different
    assert sections(found) == ()
    assert summary(found) == "no difference"


@given(sides(), sides())
def test_what_takes_a_category_away_is_major_and_what_changes_no_data_a_patch(
    before: Side, after: Side
) -> None:
    found = compare(before, after)
    if found.dropped or found.merged or found.split:
        assert found.level == "major"
    same = compare(before, before)
    assert same.level == "patch"
    assert replace(same, added=compare(before, after).added).level == ("minor" if found.added else "patch")
    assert as_json(replace(same, head=(Change("spec", "a", "b"),)))["level"] == "patch"
    repacked = compare(replace(before, stored="a"), replace(before, stored="b"))
    assert repacked.level == "major"
    unknown = compare(
        replace(before, stored="", head={"spec": "x"}), replace(before, stored="b", head={"spec": "z"})
    )
    assert unknown.level == "patch"
    assert "images not compared" in summary(unknown)
    drawn = compare(
        replace(before, splits={"train": 2}), replace(before, splits={"train": 1, "validation": 1})
    )
    assert drawn.level == "major"
    copied = compare(*(replace(before, head={"duplicates": one}) for one in ("merge", "report")))
    assert copied.level == "minor"


@given(sides(), sides())
def test_numbers_are_numbers_as_json(before: Side, after: Side) -> None:
    found = replace(compare(before, after), head=(Change("images", "1,200", "1,300"),))
    told = json.loads(json.dumps(as_json(found)))
    assert told["head"] == [{"what": "images", "before": 1200, "after": 1300}]
    for change, same in zip(told["pairs"], found.pairs, strict=True):
        for side, pair in ((change["before"], same.before), (change["after"], same.after)):
            assert (side is None) == (pair is None)
            if pair is not None:
                assert (side["share"], side["bound"]) == (float(pair.share), float(pair.bound))
    for change in told["mappings"]:
        scores = [side["score"] for side in (change["before"], change["after"]) if side]
        assert all(score is None or isinstance(score, float) for score in scores)


@given(sides(), sides())
def test_the_way_back_is_the_mirror(before: Side, after: Side) -> None:
    there, back = compare(before, after), compare(after, before)
    assert (there.added, there.dropped) == (back.dropped, back.added)
    assert (there.merged, there.split) == (back.split, back.merged)
    assert [(row.rule, row.before, row.gained, row.lost, row.after) for row in there.labels] == [
        (row.rule, row.after, row.lost, row.gained, row.before) for row in back.labels
    ]
    assert [(row.wnid, row.before, row.after) for row in there.effects] == [
        (row.wnid, row.after, row.before) for row in back.effects
    ]
    assert {(row.wnid, row.gained, row.lost, row.above_gained, row.above_lost) for row in there.parents} == {
        (row.wnid, row.lost, row.gained, row.above_lost, row.above_gained) for row in back.parents
    }
    for name in ("head", "sources", "mappings", "pairs"):
        rows = [[(row.before, row.after) for row in getattr(there, name)]]
        rows.append([(row.after, row.before) for row in getattr(back, name)])
        assert sorted(map(repr, rows[0])) == sorted(map(repr, rows[1]))
    assert there.different == back.different


@given(sides(), sides())
def test_what_no_difference_is_found_in_is_equal(before: Side, after: Side) -> None:
    mixed = replace(after, categories=before.categories)  # else hardly any two are equal
    for other in (after, mixed):
        found = compare(before, other)
        if not found.different:
            shapes = [
                {
                    wnid: (row.parents, row.labels if found.counted else ())
                    for wnid, row in side.categories.items()
                }
                for side in (before, other)
            ]
            assert shapes[0] == shapes[1]
            goes = [
                {key: (row.into, row.fate) for key, row in side.mappings.items()} for side in (before, other)
            ]
            assert goes[0] == goes[1]
            vetoes = before.vetoes and other.vetoes
            used = [
                {key: pair for key, pair in side.pairs.items() if vetoes or not pair.vetoed}
                for side in (before, other)
            ]
            assert used[0] == used[1]


@given(sides(), sides())
def test_labels_gained_less_labels_lost_is_what_there_is_more(before: Side, after: Side) -> None:
    found = compare(before, after)
    for row in found.labels:
        assert row.before + row.gained - row.lost == row.after
    if found.counted:
        changed = {row.rule: row.after - row.before for row in found.labels}
        for i, rule in enumerate(COUNTED):
            assert changed.get(rule, 0) == after.totals[i] - before.totals[i]


@given(sides(), sides())
def test_every_table_of_the_markdown_has_whole_rows(before: Side, after: Side) -> None:
    width = 0
    for line in as_markdown(compare(before, after)).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        if line.startswith("|"):
            assert cells == (width or cells)
            width = cells
        else:
            assert cells <= 0
            width = 0


def test_every_rule_is_counted_somewhere() -> None:
    assert COLUMN.keys() == set(RULES)


def changed(collection: Path, name: str, old: str, new: str) -> Path:
    """A spec beside that of the collection, with one text replaced."""
    text = (collection / "small.yaml").read_text()
    assert old in text
    path = collection / f"{name}.yaml"
    path.write_text(text.replace(old, new))
    return path


@pytest.fixture(scope="module")
def copy(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection for specs that differ."""
    return Path(shutil.copytree(collection, tmp_path_factory.mktemp("diff") / "copy"))


@pytest.fixture(scope="module")
def without_cats(copy: Path) -> Path:
    return changed(copy, "without-cats", "  ancestors: common\n", EDITED)


@pytest.fixture(scope="module")
def found(copy: Path, without_cats: Path) -> Differences:
    """What excluding the cats changes."""
    return compare_paths(copy / "small.yaml", without_cats, copy / "out", inline())


def test_the_markdown_of_a_small_change_reads_like_a_review(found: Differences) -> None:
    text = as_markdown(replace(found, before="main/small.lock", after="small.lock"))
    masked = re.sub(r"\b0\.\d+", "SCORE", re.sub(r"\b[0-9a-f]{12}…", "DIGEST…", text))
    assert masked == Path(__file__).with_name("diff.md").read_text()


def test_a_long_table_is_cut_and_says_so(found: Differences) -> None:
    text = as_markdown(found, rows=1)
    assert re.search(r"^and \d more$", text, re.MULTILINE)
    many = replace(found, mappings=found.mappings * 5_000)
    assert len(as_markdown(many, rows=5_000)) <= LONGEST


def test_spec_lock_and_dataset_of_one_build_do_not_differ(
    built: Built, collection: Path, tmp_path: Path
) -> None:
    paths = [collection / "small.yaml", built.lock, built.dataset]
    told = [side_of(path, built.dataset.parent, inline()) for path in paths]
    assert [side.kind for side in told] == ["spec", "lock", "dataset"]
    for before in told:
        for after in told:
            assert not compare(before, after).different
    assert told[0].totals == told[2].totals
    assert sum(told[2].totals) > 0


PAIRS = """\
annotation:
  cooccurrence: {{learn_from: [crowd], min_probability: 0.3, min_images: 2, doubtful: use, vetoes: {vetoes}}}
dataset:
"""


def test_a_pair_is_named_as_the_cause_of_what_it_adds(collection: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(collection, tmp_path / "copy"))  # its labels are edited
    said = (copy / "crowd" / "labels.csv").read_text()
    for i in range(0, 40, 8):  # nobody denies the cats there: what is refuted teaches nothing
        said = said.replace(f"m{i:02},verification,/m/animal,0\n", "")
    (copy / "crowd" / "labels.csv").write_text(said)
    header = "antecedent,consequent,veto\n"
    (copy / "none.csv").write_text(header)
    (copy / "refused.csv").write_text(f"{header}n00015388,n03790512,x\nn02121620,n03790512,x\n")
    adding = changed(copy, "adding", "dataset:\n", PAIRS.format(vetoes="none.csv"))
    refusing = changed(copy, "refusing", "dataset:\n", PAIRS.format(vetoes="refused.csv"))
    told = compare_paths(copy / "small.yaml", adding, copy / "out", inline())
    assert [(told.names[row.antecedent], told.names[row.consequent]) for row in told.pairs] == [
        ("animal", "motorcycle"),
        ("cat", "motorcycle"),
    ]
    motorcycle = next(row for row in told.effects if row.name == "motorcycle")
    assert motorcycle.changes == {"cooccurring": 30}
    assert motorcycle.because == (
        "animal adds motorcycle now: up to 30 labels",
        "cat adds motorcycle now: up to 30 labels",
        "co-occurrence adds labels now",
        "annotation.cooccurrence changed",
    )
    built = build(load_spec(adding), tmp_path / "out", inline())
    assert not compare_paths(built.dataset, built.lock, tmp_path, inline()).different
    assert not compare_paths(adding, built.dataset, copy / "out", inline()).different
    told = compare_paths(built.dataset, refusing, copy / "out", inline())
    motorcycle = next(row for row in told.effects if row.name == "motorcycle")
    assert motorcycle.changes == {"cooccurring": -30}
    assert "animal adds motorcycle no longer: up to 30 labels" in motorcycle.because
    lock(load_spec(adding), copy / "out", copy / "adding.lock", inline())
    told = compare_paths(copy / "adding.lock", refusing, copy / "out", inline())
    changed_pairs = {
        (told.names[row.consequent], row.before and row.before.vetoed, row.after and row.after.vetoed)
        for row in told.pairs
    }
    # what lies above the motorcycle was brought by it, and stands for itself without it
    assert changed_pairs == {("motorcycle", False, True), ("vehicle", None, False)}


def labels(dataset: Dataset) -> dict[tuple[str, str], tuple[int, str]]:
    """(image, category) → (state, rule), one label after another."""
    return {
        (image.id, label.wnid): (label.state, label.rule)
        for split in dataset.splits.values()
        for image in split
        for label in image.labels
    }


def test_datasets_of_other_images_are_compared_by_category_alone(
    built: Built, without_cats: Path, tmp_path: Path
) -> None:
    other = build(load_spec(without_cats), tmp_path / "out", inline())
    assert other.images < built.images  # whose only labels were of cats
    told = compare_paths(built.dataset, other.dataset, tmp_path, inline())
    assert told.entries is None
    assert [(row.what, row.before, row.after) for row in told.head if row.what == "images"] == [
        ("images", str(built.images), str(other.images))
    ]
    assert {row.rule for row in told.labels} >= {"stated", "implied"}


def test_entries_are_those_of_every_single_image(built: Built, copy: Path, tmp_path: Path) -> None:
    quiet = changed(
        copy, "quiet", "dataset:\n", "annotation:\n  negatives: none\n  positives: none\ndataset:\n"
    )
    other = build(load_spec(quiet), tmp_path / "out", inline())
    told = compare_paths(built.dataset, other.dataset, tmp_path, inline())
    with open_dataset(built.dataset) as one, open_dataset(other.dataset) as two:
        before, after = labels(one), labels(two)
    lost = Counter(rule for key, (_, rule) in before.items() if key not in after)
    assert lost["ancestors"] > 0
    assert lost["descendants"] > 0
    assert told.entries is not None
    assert told.entries.lost == {"implied": lost["ancestors"], "absent_implied": lost["descendants"]}
    assert told.entries.gained == {}
    assert told.entries.images == len({image for image, _ in before.keys() - after.keys()})
    assert {row.rule: row.lost for row in told.labels} == told.entries.lost
    back = compare_paths(other.dataset, built.dataset, tmp_path, inline()).entries
    assert back is not None
    assert (back.gained, back.lost) == (told.entries.lost, {})


def test_labels_of_a_fraction_are_not_compared_with_those_of_the_whole(
    built: Built, spec: LoadedSpec, tmp_path: Path
) -> None:
    part = build(spec, tmp_path / "out", inline(), fraction=0.1)
    for path in (part.dataset, part.lock):
        told = compare_paths(built.dataset, path, tmp_path, inline())
        assert not told.counted
        assert told.labels == ()
        assert not any(change.what == "images" for change in told.head)
        assert summary(told).endswith(", labels not compared: the sides hold different fractions")
        assert "label does" not in summary(told)


def test_equal_sides_print_nothing_and_exit_with_0(copy: Path) -> None:
    for path in ("small.yaml", "small.lock"):
        if path.endswith(".lock"):
            assert mlimg("lock", "small.yaml", "--out", "out", cwd=copy).returncode == 0
        done = mlimg("diff", path, path, "--exit-code", "--out", "out", cwd=copy)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "no difference" in done.stderr


def test_a_difference_is_told_in_three_ways(copy: Path, without_cats: Path) -> None:
    lock = ("lock", "small.yaml", "--out", "out", "--to", "base.lock")
    assert mlimg(*lock, cwd=copy).returncode == 0
    sides = ("diff", "base.lock", without_cats.name, "--out", "out")
    done = mlimg(*sides, cwd=copy)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^dropped +cat n02121620 ", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    done = mlimg(*sides, "--exit-code", "--markdown", cwd=copy)
    assert done.returncode == 3
    assert done.stdout.startswith("### base.lock → without-cats.yaml\n")
    done = mlimg(*sides, "--exit-code", "--json", cwd=copy)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["different"] is True
    assert "n02121620" in [row["wnid"] for row in told["dropped"]]
    assert mlimg(*sides, "--json", "--markdown", cwd=copy).returncode == 2


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere", "not-comparable"),
        ("nowhere.yaml", "not-comparable"),
        ("crowd/labels.csv", "not-comparable"),
        ("crowd", "not-comparable"),
        ("hollow.lock", "lock-missing"),
        ("hollow.zarr", "not-a-dataset"),
        ("whole.lock/lock.yaml", "not-comparable"),
        ("odd.lock", "lock-damaged"),
        ("deep.lock", "lock-damaged"),
        ("round.lock", "lock-damaged"),
    ],
)
def test_a_wrong_path_is_named_with_what_to_do(
    built: Built, copy: Path, tmp_path: Path, path: str, code: str
) -> None:
    root = tmp_path / "copy"
    root.mkdir()
    (root / "crowd").mkdir()
    (root / "crowd/labels.csv").write_text("a,b\n")
    for name in ("hollow.lock", "hollow.zarr"):
        (root / name).mkdir()
    for name in ("whole.lock", "odd.lock", "deep.lock", "round.lock"):
        shutil.copytree(built.lock, root / name)
    (root / "deep.lock/lock.yaml").write_text("{" * 5000)
    categories = (built.lock / "categories.csv").read_text()
    (root / "odd.lock/categories.csv").write_text(re.sub(r",\d+,", ",many,", categories, count=1))
    wnid = categories.splitlines()[1].split(",")[0]
    (root / "round.lock/categories.csv").write_text(
        re.sub(rf"^({wnid},[^,]*),[^,]*,", rf"\1,{wnid},", categories, flags=re.MULTILINE)
    )
    with pytest.raises(MlimgError) as caught:
        compare_paths(built.lock, root / path, tmp_path / "out", inline())
    assert caught.value.code == code
    assert caught.value.problems[0].hint
