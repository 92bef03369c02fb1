"""The labels of copies together: whatever the order of the copies, those that all their statements make."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.compiler.copies.copy_tables import MergedCopies, merge_copies
from mlimg_build.compiler.copies.duplicates import Copy
from mlimg_build.compiler.plan.annotation_rules import annotation_rules
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.row_files import statements_of
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.labels import Statements, derive
from mlimg_build.spec import load_spec

CATEGORIES = ("n00015388", "n02084071", "n02112826", "n02121620", "n09426788", "n09225146")
SPEC = """\
mlimg: 1
name: laws
version: 1.0.0
sources:
  a: {type: table, table: a.csv, images: images, columns: {confidence: sure}}
  b: {type: table, table: b.csv, images: images, columns: {confidence: sure}}
vocabulary: {include: [n00015388, n02084071, n02112826, n02121620, n09426788, n09225146]}
annotation:
  unlabelled: keep
  conflicts: POLICY
  implied_confidence: HOW
  cooccurrence: {learn_from: [a], add_to: [b], min_images: 2, min_probability: 0.3, doubtful: use}
split: {validation: 0.3}
dataset: {images_per_shard: 8}
"""


def made(folder: Path, images: int, policy: str = "prefer_verified", how: str = "strongest") -> Plan:
    """The plan of two tables whose rows say at random what is present and absent."""
    chance = random.Random(policy)
    (folder / "images").mkdir(parents=True)
    for source in ("a", "b"):
        rows = ["image,labels,sure"]
        for i in range(images // 2):
            said = chance.sample(CATEGORIES, chance.randint(1, 4))
            sure = [chance.choice(("0", "0.5", "0.9", "0.9", "1")) for _ in said]
            rows.append(f"{source}{i}.jpg,{'|'.join(said)},{'|'.join(sure)}")
        (folder / f"{source}.csv").write_text("\n".join(rows) + "\n")
    (folder / "laws.yaml").write_text(SPEC.replace("POLICY", policy).replace("HOW", how))
    return plan(load_spec(folder / "laws.yaml"), folder / "out")


class Decided:
    """A plan; hypothesis shows the arguments of a failing example, and a whole plan is too long for that."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan


@pytest.fixture(scope="module", params=[("prefer_verified", "strongest"), ("drop", "first")])
def decided(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Decided:
    return Decided(made(tmp_path_factory.mktemp("laws"), 60, *request.param))


def images(plan: Plan) -> list[Copy]:
    return [
        Copy(name, work, row)
        for work in plan.work
        for row, name in enumerate(plan.rows.batch(work.shard).column("id").to_pylist())
    ]


def merged_copies(plan: Plan, groups: list[list[Copy]]) -> MergedCopies:
    return merge_copies(groups, plan.loaded.spec, plan.facts, plan.rows, plan.work)


@st.composite
def groupings(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Groups of images by number, and the same with their members in another order."""
    order = draw(st.permutations(range(60)))
    cuts = sorted(draw(st.sets(st.integers(1, 59), min_size=3, max_size=20)))
    groups = [order[a:b] for a, b in zip([0, *cuts], [*cuts, 60], strict=True) if b - a > 1]
    return groups, [draw(st.permutations(group)) for group in groups]


def told(plan: Plan, groups: list[list[Copy]]) -> list[tuple[list[tuple[object, ...]], list[int]]]:
    """What is known of each group together: its labels and which contradictions there are."""
    tables = merged_copies(plan, groups).tables
    names = ("category", "state", "confidence", "rule", "via", "source", "mapping", "record")
    rows = list(zip(*(np.asarray(tables.labels[name]).tolist() for name in names), strict=True))
    kept = np.asarray(tables.contradictions["kept"]).tolist()
    spans = (
        (tables.labels["start"], tables.labels["stop"], rows),
        (tables.contradictions["start"], tables.contradictions["stop"], kept),
    )
    first, second = (
        [values[int(a) : int(b)] for a, b in zip(start, stop, strict=True)] for start, stop, values in spans
    )
    return list(zip(first, second, strict=True))


def all_statements(plan: Plan, groups: list[list[Copy]]) -> Statements:
    """Everything that is said of the images of each group, none left out; `image` is the group."""
    parts: list[list[object]] = [[] for _ in range(6)]
    for number, group in enumerate(groups):
        for one in group:
            batch = plan.rows.batch(one.work.shard)
            said = statements_of(batch.take([one.row]))
            columns = (said.category, said.state, said.confidence, said.mapping, said.record)
            parts[0] += [number] * len(said)
            for number_of, column in enumerate(columns, 1):
                parts[number_of] += column.tolist()
    return Statements.of(*parts)  # type: ignore[arg-type]


@pytest.mark.few(2)
@settings(max_examples=40, deadline=None)
@given(groupings())
def test_the_order_of_copies_changes_nothing_but_which_of_them_counts(
    decided: Decided, drawn: tuple[list[list[int]], list[list[int]]]
) -> None:
    everything = images(decided.plan)
    one, other = ([[everything[i] for i in group] for group in groups] for groups in drawn)
    merged, again = told(decided.plan, one), told(decided.plan, other)
    table = merged_copies(decided.plan, one).tables.groups["merged"]
    turned = merged_copies(decided.plan, other).tables.groups["merged"]
    for number, (mine, yours) in enumerate(zip(merged, again, strict=True)):
        if table[number] and turned[number]:  # else the one that counts has said it all
            assert mine == yours


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(groupings())
def test_copies_together_have_the_labels_that_all_their_statements_make(
    decided: Decided, drawn: tuple[list[list[int]], list[list[int]]]
) -> None:
    everything = images(decided.plan)
    groups = [[everything[i] for i in group] for group in drawn[0]]
    rules = annotation_rules(decided.plan.loaded.spec)
    heard = np.array([any(one.id.startswith("b/") for one in group) for group in groups])
    expected, _ = derive(
        all_statements(decided.plan, groups),
        decided.plan.facts.hierarchy,
        rules.rules,
        rules.conflicts,
        decided.plan.facts.pairs,
        images=heard,
    )
    merged = merged_copies(decided.plan, groups).tables
    for number, (rows, _) in enumerate(told(decided.plan, groups)):
        if merged.groups["merged"][number]:
            at = expected.image == number
            names = ("category", "state", "confidence", "rule", "via", "mapping", "record")
            right = list(zip(*(getattr(expected, name)[at].tolist() for name in names), strict=True))
            assert [(*row[:5], *row[6:]) for row in rows] == right


@pytest.mark.slow
@pytest.mark.few(1)
@settings(max_examples=40, deadline=None)
@given(groupings())
def test_a_label_rests_on_a_statement_of_the_copy_that_it_names(
    decided: Decided, drawn: tuple[list[list[int]], list[list[int]]]
) -> None:
    everything = images(decided.plan)
    groups = [[everything[i] for i in group] for group in drawn[0]]
    members = [one for group in groups for one in group]
    tables = merged_copies(decided.plan, groups).tables
    said = {}
    for number, one in enumerate(members):
        batch = decided.plan.rows.batch(one.work.shard)
        found = statements_of(batch.take([one.row]))
        said[number] = set(zip(found.mapping.tolist(), found.record.tolist(), strict=True))
    for member, mapping, record in zip(
        *(np.asarray(tables.labels[name]).tolist() for name in ("member", "mapping", "record")), strict=True
    ):
        assert (mapping, record) in said[member]


def test_twenty_thousand_copies_that_deny_each_other_cost_no_square(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for source, sure in (("a", "1"), ("b", "0")):
        rows = [f"{source}{i}.jpg,n02084071,{sure}" for i in range(10_000)]
        (tmp_path / f"{source}.csv").write_text("\n".join(["image,labels,sure", *rows]) + "\n")
    text = SPEC.replace("POLICY", "prefer_verified").replace("HOW", "strongest").replace(": 8}", ": 4096}")
    (tmp_path / "laws.yaml").write_text(text)
    whole = plan(load_spec(tmp_path / "laws.yaml"), tmp_path / "out")
    everything = images(whole)
    assert len(everything) == 20_000
    started = time.process_time()
    counts = merged_copies(whole, [everything]).counts
    assert time.process_time() - started < 5
    assert (counts.images, counts.contradictions, counts.other_labels) == (20_000, 1, 1)
