"""Whatever byte is wrong, `verify` names the place and reads on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlimg_build.dataset import Finding, info, verify
from tests.support.dataset_world import TABLES, ids, image, labels_of

IMAGES = [image(i) for i in ids(37)]


def flip(path: Path, position: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)


def findings(path: Path) -> tuple[Finding, ...]:
    found = verify(path).findings
    assert found
    assert all(one.message and not one.message.endswith(".") for one in found)
    return found


def test_a_whole_dataset_has_no_findings(original_dataset: Path) -> None:
    steps: list[tuple[int, int]] = []
    result = verify(original_dataset, lambda done, total: steps.append((done, total)))
    assert result.ok
    assert result.findings == ()
    assert (result.images, result.shards) == (42, 6)
    everything = [*IMAGES, *(image(i) for i in ids(5, "validation"))]
    assert result.bytes == sum(len(one.data) for one in everything)
    assert steps == [(8, 42), (16, 42), (24, 42), (32, 42), (37, 42), (42, 42)]


def test_a_flipped_bit_in_an_image_names_shard_and_image(dataset_copy: Path) -> None:
    row = next(row for row in range(8, 16) if IMAGES[row].data)
    flip(dataset_copy / "train/images/data/c/1/0", 0)
    (found,) = findings(dataset_copy)
    assert (found.code, found.split, found.shard, found.image) == (
        "image-differs",
        "train",
        1,
        IMAGES[row].id,
    )


def test_all_damage_is_found_in_one_run(dataset_copy: Path) -> None:
    flip(dataset_copy / "train/images/data/c/0/0", 3)
    flip(dataset_copy / "train/images/data/c/2/0", 3)
    flip(dataset_copy / "train/labels/category/c/3/0", -6)
    flip(dataset_copy / "validation/images/data/c/0/0", 3)
    places = [(one.split, one.shard) for one in findings(dataset_copy)]
    assert places == [("train", 0), ("train", 2), ("train", 3), ("validation", 0)]


def test_a_flipped_bit_in_any_column_names_the_shard(dataset_copy: Path) -> None:
    names = ("labels/category/c/0/0", "contradictions/kept/c/1/0", "images/id/c/2/0", "images/digest/c/3/0")
    for name in (*names, "images/stop/c/4"):
        file = dataset_copy / "train" / name
        flip(file, file.stat().st_size // 2)
    found = {(one.code, one.split, one.shard) for one in findings(dataset_copy)}
    assert found == {("column-unreadable", "train", shard) for shard in range(5)}


def test_a_column_put_from_another_shard_is_found(dataset_copy: Path) -> None:
    names = ("images/id/c/{}/0", "images/height/c/{}", "labels/state/c/{}/0", "labels/stop/c/{}")
    for shard, name in enumerate(names):
        train = dataset_copy / "train"
        shutil.copyfile(train / name.format(4), train / name.format(shard))
    found = {(one.shard, one.code) for one in findings(dataset_copy) if one.shard is not None}
    assert {(0, "images-differ"), (1, "images-differ")} <= found
    assert {2, 3} <= {shard for shard, code in found if code in ("labels-differ", "column-unreadable")}
    assert 4 not in {shard for shard, _ in found}


def test_a_missing_chunk_is_named(dataset_copy: Path) -> None:
    names = ("labels/confidence/c/0/0", "images/width/c/1", "contradictions/present/c/2/0")
    for name in names:
        (dataset_copy / "train" / name).unlink()
    found = {one.shard: one.message for one in findings(dataset_copy) if one.shard is not None}
    for shard, name in enumerate(names):
        assert f"there is no chunk of {name.partition('/c/')[0]}" in found[shard]


def test_a_missing_shard_file_names_its_images(dataset_copy: Path) -> None:
    (dataset_copy / "train/images/data/c/4/0").unlink()
    found = findings(dataset_copy)
    assert {(one.code, one.shard) for one in found} == {("image-differs", 4)}
    assert {one.image for one in found} <= {one.id for one in IMAGES[32:] if one.data}


def test_a_truncated_shard_file_is_found(dataset_copy: Path) -> None:
    for shard, keep in enumerate((0, 40, -1, -100)):
        file = dataset_copy / f"train/images/data/c/{shard}/0"
        file.write_bytes(file.read_bytes()[:keep])
    found = findings(dataset_copy)
    assert {one.shard for one in found} == {0, 1, 2, 3}
    assert {one.code for one in found} == {"shard-truncated", "shard-index-damaged"}
    assert all(one.image for one in found)


def test_a_damaged_index_is_found(dataset_copy: Path) -> None:
    flip(dataset_copy / "train/images/data/c/3/0", -10)
    (found,) = findings(dataset_copy)
    assert (found.code, found.shard) == ("shard-index-damaged", 3)


def test_a_changed_shape_is_found(dataset_copy: Path) -> None:
    names = ("images/data", "images/id", "images/start", "labels/category", "contradictions/kept")
    for name in names:
        file = dataset_copy / "train" / name / "zarr.json"
        metadata = json.loads(file.read_text())
        metadata["shape"][0] -= 1
        file.write_text(json.dumps(metadata))
    messages = [one.message for one in findings(dataset_copy) if one.code == "array-shape"]
    assert all(any(name in message for message in messages) for name in names)


def test_changed_attributes_are_found(dataset_copy: Path) -> None:
    file = dataset_copy / "zarr.json"
    text = file.read_text()
    for old, new, code in (
        ("mlimg: 1", "mlimg: 2", "attributes-differ"),
        ('"ancestor"', '"ancestors"', "dataset-differs"),
        (json.loads(text)["attributes"]["digest"], "0" * 64, "dataset-differs"),
    ):
        file.write_text(text.replace(old, new))
        assert code in {one.code for one in findings(dataset_copy)}
    file.write_text(text)
    group = dataset_copy / "train/zarr.json"
    group.write_text(group.read_text().replace('"images": 37', '"images": 36'))
    assert "attributes-differ" in {one.code for one in findings(dataset_copy)}


@pytest.mark.parametrize("name", ["categories/positives", "mappings/category", "train/shards/labels_digest"])
def test_a_changed_table_is_found(dataset_copy: Path, name: str) -> None:
    import zarr

    array = zarr.open_array(str(dataset_copy / name), mode="r+")
    array[0] = array[0] ^ 1
    assert "dataset-differs" in {one.code for one in findings(dataset_copy)}


def test_what_is_no_dataset_is_a_finding(tmp_path: Path) -> None:
    assert [one.code for one in findings(tmp_path / "none")] == ["dataset-missing"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.integers(0, 10**9), place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_verify_never_raises_and_a_wrong_content_never_passes(
    dataset_copy: Path, choice: int, place: float, mask: int
) -> None:
    files = sorted(p for p in dataset_copy.rglob("*") if p.is_file())
    file = files[choice % len(files)]
    raw = file.read_bytes()
    position = int(len(raw) * place)
    changed = bytearray(raw)
    changed[position] ^= mask
    file.write_bytes(changed)
    try:
        result = verify(dataset_copy)
        if result.ok:  # only what no reader of the content sees: padding, metadata of equal meaning
            assert file.name == "zarr.json" or "images/data/c/" in file.as_posix()
    finally:
        file.write_bytes(raw)


def test_info_counts_what_is_there(original_dataset: Path) -> None:
    found = info(original_dataset)
    json.dumps(found)
    everything = [*IMAGES, *(image(i) for i in ids(5, "validation"))]
    assert found["images"] == 42
    assert found["bytes"] == sum(len(one.data) for one in everything)
    assert found["failed"] == {"truncated": sum(one.status for one in everything)}
    tables = [labels_of(IMAGES[n : n + 8])[0] for n in range(0, 37, 8)] + [labels_of(everything[37:])[0]]
    assert found["labels"]["present"] == sum(int((one.state == 1).sum()) for one in tables)
    for code, rule in enumerate(TABLES["rules"]):
        absent = sum(int(((one.state == -1) & (one.rule == code)).sum()) for one in tables)
        assert found["labels"]["rules"][rule]["absent"] == absent
    assert found["categories"]["top"][0] == {
        "wnid": "n02084071",
        "name": "dog",
        "positives": 9,
        "negatives": 0,
    }
    assert found["categories"]["with_positives"] == 3
    assert found["categories"]["roots"] == 2
    assert found["attributes"] == {"name": "small"}
    assert found["splits"]["train"]["shards"] == 5
