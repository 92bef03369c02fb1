"""Every file that decides something has a digest in the lock, and `lock --check` names the one that changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mlimg_build.compiler.facts.list_digests import list_digests, refuse_changed
from mlimg_build.compiler.lock_stage import check_lock, lock
from mlimg_build.errors import LockChanged, SpecError
from mlimg_build.spec import LoadedSpec, file_paths, load_spec
from tests.support.photographs import crops
from tests.support.runs import inline

DOG, CAT, CANINE = "n02084071", "n02121620", "n02083346"
SPEC = """\
mlimg: 1
name: files
version: 1.0.0
sources:
  open:
    type: open_images
    images: images
    labels: [labels.csv, more/labels.csv]
    classes: classes.csv
    hierarchy: nesting.json
    rights: rights.csv
    exclude: left-out.txt
    group: {file: own-groups.csv}
  rows: {type: table, table: rows.csv, images: images}
  ml: {type: ml_images, lists: list.txt, dictionary: dictionary.txt, images: images}
vocabulary:
  mapping: {file: mapping.csv}
  exclude: exclude.txt
  exclude_below: exclude-below.txt
hierarchy:
  relations: {part_holonym: parts.csv}
split: {by: {file: groups.csv}}
annotation:
  unlabelled: keep
  cooccurrence: {learn_from: [open], predictions: seen.parquet, vetoes: vetoes.csv}
"""
TREE = ("  relations: {part_holonym: parts.csv}", "  parents: {tree: tree.txt}")
FILES = {
    "labels.csv": "ImageID,Source,LabelName,Confidence\na,verification,/m/dog,1\n",
    "more/labels.csv": "ImageID,Source,LabelName,Confidence\na,verification,/m/cat,0\n",
    "classes.csv": "LabelName,DisplayName\n/m/dog,Dog\n/m/cat,Cat\n",
    "nesting.json": '{"LabelName": "/m/dog"}',
    "rights.csv": "ImageID,License,Author\na,CC0,me\n",
    "left-out.txt": "/m/none\n",
    "own-groups.csv": "id,group\na,g\n",
    "rows.csv": f"image,labels\nb.jpg,{CAT}\n",
    "list.txt": "c.jpg\t0:1\n",
    "dictionary.txt": f"0\t{DOG}\t-1\tdog\n",
    "mapping.csv": "source,category,wnid,reviewer\n",
    "exclude.txt": "n01440764\n",
    "exclude-below.txt": "n01440764\n",
    "parts.csv": "part,whole\n",
    "groups.csv": "id,group\nrows/b.jpg,g\nml/c.jpg,g\n",
    "vetoes.csv": "antecedent,consequent,veto\n",
    "tree.txt": f"0\t{DOG}\t-1\tdog\n1\t{CAT}\t-1\tcat\n",
}
NAMED = {
    **dict.fromkeys(
        ("labels.csv", "more/labels.csv", "classes.csv", "nesting.json", "rights.csv"), "source open"
    ),
    **dict.fromkeys(("rows.csv",), "source rows"),
    **dict.fromkeys(("list.txt", "dictionary.txt"), "source ml"),
    "left-out.txt": "files: sources.open.exclude",
    "own-groups.csv": "files: sources.open.group.file",
    "mapping.csv": "files: vocabulary.mapping.file",
    "exclude.txt": "files: vocabulary.exclude",
    "exclude-below.txt": "files: vocabulary.exclude_below",
    "parts.csv": "files: hierarchy.relations.part_holonym",
    "groups.csv": "files: split.by.file",
    "seen.parquet": "files: annotation.cooccurrence.predictions",
    "vetoes.csv": "files: annotation.cooccurrence.vetoes",
}


def write_seen(path: Path, compression: str) -> None:
    label = pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", pa.float64())])
    columns = {"image": ["a.jpg"], "labels": pa.array([[]], pa.list_(label))}
    pq.write_table(pa.table(columns), path, compression=compression)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec that names a file in every place where a spec can, and its lock."""
    root = tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    write_seen(root / "seen.parquet", "snappy")
    (root / "images").mkdir()
    for name, data in zip("abc", crops("chelsea", 3), strict=True):
        (root / "images" / f"{name}.jpg").write_bytes(data)
    (root / "files.yaml").write_text(SPEC)
    lock(loaded(root), root / "out", root / "files.lock", inline())
    return root


def loaded(root: Path) -> LoadedSpec:
    return load_spec(root / "files.yaml")


@pytest.fixture
def touched(project: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Another file of the same meaning, for the time of a test."""
    path = project / request.param
    before = path.read_bytes()
    if path.suffix == ".parquet":
        write_seen(path, "none")
    else:
        path.write_bytes(before + (b"# why\n" if path.name.endswith("out.txt") else b"\n"))
    yield request.param
    path.write_bytes(before)


@pytest.mark.few(6)
@pytest.mark.parametrize("touched", NAMED, indirect=True)
def test_a_change_of_any_file_is_named_even_where_it_changes_no_decision(project: Path, touched: str) -> None:
    with pytest.raises(LockChanged) as caught:
        check_lock(loaded(project), project / "out", project / "files.lock", inline())
    told = [line.strip() for line in str(caught.value).splitlines()[1:]]
    (line,) = (line for line in told if line.startswith(f"lock.yaml: {NAMED[touched]}: "))
    assert line.count("…") == 2, "both digests are shown by their beginnings"
    groups = [line for line in told if line.startswith("lock.yaml: groups: ")]
    assert len([line for line in told if line.startswith("lock.yaml: ")]) == 1 + len(groups), told
    assert bool(groups) == ("groups" in touched)


def test_the_lock_has_a_digest_of_every_file_that_the_spec_names(project: Path) -> None:
    head = yaml.safe_load((project / "files.lock" / "lock.yaml").read_text())
    known = {line.partition("  ")[2] for line in head["files"].values()}
    for source in head["sources"].values():
        known |= {line.partition("  ")[2] for line in source["files"]}
    named = {path.name for _, path, kind in file_paths(loaded(project)) if kind == "file"}
    assert named == known
    assert len(named) == len(NAMED) - 1, "two label lists have one name"
    check_lock(loaded(project), project / "out", project / "files.lock", inline())


def test_a_tree_from_a_file_has_a_digest_too(project: Path) -> None:
    (project / "tree.yaml").write_text(SPEC.replace(*TREE))
    spec = load_spec(project / "tree.yaml")
    before = list_digests(spec)
    assert before["hierarchy.parents.tree"].endswith("  tree.txt")
    (project / "tree.txt").write_text(FILES["tree.txt"] + "\n")
    with pytest.raises(SpecError) as caught:
        refuse_changed(spec, before, list_digests(spec))
    assert caught.value.code == "list-changed"
    assert "tree.txt was changed" in str(caught.value)
