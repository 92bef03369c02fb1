"""What people keep beside a spec, and what mlimg wrote that people edit: mappings, lists, locks, predictions."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.compiler.diff.loading import side_of_lock
from mlimg_build.compiler.facts.curated_files import (
    mapping_rows,
    read_accepted,
    read_parts,
    read_reviewed,
    read_vetoes,
    review_lines,
)
from mlimg_build.compiler.facts.id_lists import read_ids
from mlimg_build.compiler.facts.own_categories import with_own_categories
from mlimg_build.compiler.facts.predictions import read_predictions
from mlimg_build.compiler.lint import mapping_review
from mlimg_build.compiler.lock.lock_reader import (
    FILES,
    LOCK_FORMAT,
    Locked,
    changes,
    parse_lock,
    read_leniently,
    read_lock,
)
from mlimg_build.compiler.plan.group_tables import read_group_file
from mlimg_build.errors import Place, SpecError
from mlimg_build.spec import parse_spec
from mlimg_build.wordnet import load
from tests.fuzz.door import Door

__all__ = ["DOORS"]

DOG, CANINE = "n02084071", "n02083346"


def mappings(path: Path) -> None:
    """Every reader of a mapping file; one that refuses does not keep the others from it."""
    graph, refused = load(), []
    for reader in (
        lambda: read_reviewed(path, ("crowd", "rows"), graph),
        lambda: [*review_lines(path)],
        lambda: [*mapping_rows(path)],
        lambda: mapping_review._there(path),
    ):
        try:
            reader()
        except SpecError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def parts(path: Path) -> None:
    read_parts(path, load())


def part_seeds() -> list[bytes]:
    graph = load()
    pairs = graph.edges("part_holonym").tocoo()
    part, whole = (graph.wnids[int(index[0])] for index in (pairs.row, pairs.col))
    return [f"part,whole\n{part},{whole}\n".encode()]


def own(path: Path) -> None:
    """A spec whose own categories are this file: each of the graph has an id, a name and a place."""
    text = "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: folder, images: .}}\nvocabulary: {own: own.csv}\n"
    graph = with_own_categories(parse_spec(text, "x.yaml", path.parent, {}), load())
    for node in graph.own:
        assert graph.index(node.id) < len(graph)
        assert graph.name(node.id) == node.name
        assert {*node.below} <= {*graph.ancestors(node.id)}
    assert graph.content.flaw(len(graph.own)) is None


OWN = f"id,name,below\ndefect,,\nwith_mask,with mask,{DOG} own:defect\nown:Dent,Beule,own:DEFECT\n"


def vetoes(path: Path) -> None:
    assert all(len(pair) == 2 for pair in read_vetoes(path) | read_accepted(path))


MAPPINGS = f"""\
source,category,name,wnid,synset,relation,method,score,images,alternatives,evidence,reviewer
crowd,/m/dog,Dog,{DOG},dog,same_as,lemma,0.931,12,n10114209 0.1 | n02710044 0.05,stated,ann
rows,"cat, big",Cat,,,is_a,unresolved,0.000,1,,,bob
rows,'=x,=x,{DOG},dog,,,0.5,1,,,
"""
LOCK = {
    "lock.yaml": f"""\
lock: {LOCK_FORMAT}
name: world
version: 1.0.0
spec: {"1" * 64}
wordnet: {{release: '3.0', digest: {"2" * 64}}}
sources:
  crowd: {{digest: {"3" * 64}, images: 3, statements: 4, files: ["{"4" * 64}  labels.csv"]}}
files: {{mapping.csv: {"5" * 64}}}
duplicates: merge
categories: 2
copies: {{exact: merge, groups: 1, images: 2}}
shards: 1
plan: {"6" * 64}
dataset: {"7" * 64}
""",
    "categories.csv": f"{DOG},dog,{CANINE},2,0,0,1,0,\n{CANINE},canine,,0,2,0,0,0,crowd\n",
    "mappings.csv": f"crowd,/m/dog,Dog,{DOG},same_as,lemma,0.931,used,3,ann,stated\n",
    "cooccurrence.csv": f"{DOG},dog,{CANINE},canine,3,4,0.75,0.71,2,,yes,,\n",
    "duplicates.csv": f"{'6' * 64},crowd/a\n{'6' * 64},crowd/b\n",
    "shards.csv": f"train,0,3,{'7' * 16},{'8' * 16},{'9' * 64},{'a' * 64}\n",
}


def lock_files() -> dict[str, bytes]:
    return {
        name: ((",".join(columns) + "\n") * bool(columns) + LOCK[name]).encode()
        for name, columns in FILES.items()
    }


def furnish_lock(room: Path) -> None:
    for name, data in lock_files().items():
        (room / name).write_bytes(data)


def lock(path: Path) -> None:
    whole = parse_lock(lock_files(), "the lock")
    lenient = read_leniently(path.parent)
    assert lenient is not None
    used(lenient)
    locked = read_lock(path.parent)
    used(locked)
    for one in (changes(whole, locked, whole=True), changes(locked, whole, whole=False)):
        _ = "\n".join(one).encode("utf-8", "surrogatepass")
    side_of_lock(locked, "the lock")


def used(locked: Locked) -> None:
    _ = (locked.digests, locked.image_keys, locked.knows_images, locked.repeated)


def predictions(path: Path) -> None:
    found = read_predictions(path, (DOG, CANINE), 0.2, Place("spec.yaml", 1, 1))
    found.validate(full=True)


def predicted() -> list[bytes]:
    label = pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", pa.float32())])
    rows = [[{"wnid": DOG, "name": "dog", "score": 0.5}], [], [{"wnid": "n1", "name": "x", "score": 1.0}]]
    table = pa.table({"image": ["a.jpg", "b.jpg", "c.jpg"], "labels": pa.array(rows, pa.list_(label))})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="none")
    return [stream.getvalue()]


CSV = (
    b"source,category,wnid\n",
    b"reviewer",
    b"crowd",
    DOG.encode(),
    b"'=",
    b"<<<<<<< a\n",
    b"=======\n",
    b">>>>>>>",
)
YAML = (
    b"sources: ",
    b"lock: 4\n",
    b"&a [*a]",
    b"!!python/name:os.system",
    b"<<: *a",
    b"? []\n",
    b"2001-01-01",
    b".nan",
)

DOORS = (
    Door("mappings", mappings, lambda: [MAPPINGS.encode()], ("mappings.csv",), tokens=CSV),
    Door(
        "own",
        own,
        lambda: [OWN.encode()],
        ("own.csv",),
        tokens=(*CSV, b"own:", b"id,name,below\n", "ﬁß".encode()),
    ),
    Door("parts", parts, part_seeds, ("parts.csv",), tokens=CSV),
    Door(
        "vetoes",
        vetoes,
        lambda: [f"antecedent,consequent,veto,accept\n{DOG},{CANINE},x,\n{CANINE},{DOG},,y\n".encode()],
        ("vetoes.csv",),
        tokens=CSV,
    ),
    Door(
        "ids", read_ids, lambda: [f"# dogs\n{DOG}  # a dog\n\n{CANINE}\n".encode()], ("ids.txt",), tokens=CSV
    ),
    Door(
        "groups",
        lambda path: read_group_file(path, Place("spec.yaml", 1, 1)),
        lambda: [b"id,group\ncrowd/a,one\ncrowd/b,\n./crowd/c,two\n"],
        ("groups.csv",),
        tokens=CSV,
    ),
    Door(
        "lock",
        lock,
        lambda: [name.encode() + b"\n" + data for name, data in lock_files().items()],
        tuple(FILES),
        furnish_lock,
        tokens=(*CSV, *YAML),
        tree=True,
    ),
    Door("predictions", predictions, predicted, ("seen.parquet",), tokens=(b"PAR1", b"\x15\x00\x15")),
)
