"""A reader finds every image by row, slice and id, from any thread or process."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.dataset import Dataset, Label, Layout, ReadBuffer, ShardOutput, Split, open_dataset
from mlimg_build.errors import DamagedDataset, DatasetError
from tests.support.dataset_world import TABLES, build, ids, image, labels_of, write_split

IMAGES = [image(i) for i in ids(37)]


@pytest.fixture
def train(original_dataset: Path) -> Split:
    return open_dataset(original_dataset).train


def test_every_image_comes_back_as_it_was_stored(train: Split) -> None:
    assert len(train) == 37
    for row, (found, given) in enumerate(zip(train, IMAGES, strict=True)):
        assert (found.row, found.id, found.split, found.data) == (row, given.id, "train", given.data)
        assert (found.height, found.width, found.author) == (given.height, given.width, given.author)
        assert found.digest == given.digest.hex()
        assert found.source == TABLES["sources"][given.source]
        assert found.status == TABLES["statuses"][given.status]
        assert found.licence == TABLES["licences"][given.licence]
        assert found.source_digest is None


def test_labels_and_contradictions_come_back_by_name(train: Split) -> None:
    for shard in range(5):
        part = IMAGES[shard * 8 : shard * 8 + 8]
        labels, contradictions = labels_of(part)
        stops = np.cumsum(labels.counts)
        clash_stops = np.cumsum(contradictions.counts)
        for offset, stop in enumerate(stops):
            found = train[shard * 8 + offset]
            span = slice(int(stop - labels.counts[offset]), int(stop))
            assert [label.category for label in found.labels] == labels.category[span].tolist()
            assert [label.state for label in found.labels] == labels.state[span].tolist()
            assert [label.record for label in found.labels] == labels.record[span].tolist()
            assert [label.rule for label in found.labels] == [TABLES["rules"][r] for r in labels.rule[span]]
            clashes = slice(
                int(clash_stops[offset] - contradictions.counts[offset]), int(clash_stops[offset])
            )
            assert [c.kept for c in found.contradictions] == contradictions.kept[clashes].tolist()
            assert [c.present_record for c in found.contradictions] == contradictions.present_record[
                clashes
            ].tolist()
    label = next(label for one in train for label in one.labels)
    assert isinstance(label, Label)
    assert label.wnid == train.dataset.categories.wnid[label.category]


def test_rows_slices_and_ids_reach_the_same_image(train: Split) -> None:
    assert train[-1] == train[36]
    assert [one.row for one in train[5:20:4]] == [5, 9, 13, 17]
    assert [one.row for one in train[5:20:4][::-1]] == [17, 13, 9, 5]
    assert train[30:].rows == range(30, 37)
    assert all(train[one.id].row == train.find(one.id) == row for row, one in enumerate(IMAGES))
    assert train.dataset.find(ids(5, "validation")[3]).split == "validation"
    assert IMAGES[3].id in train
    assert "nobody/1" not in train
    assert train.search("nobody/1") is None
    for row in (37, -38):
        with pytest.raises(IndexError):
            _ = train[row]
        with pytest.raises(IndexError):
            train.read(row)
    with pytest.raises(DatasetError) as caught:
        _ = train["nobody/1"]
    assert caught.value.code == "image-unknown"


def test_categories_and_mappings_come_back(original_dataset: Path) -> None:
    dataset = open_dataset(original_dataset)
    categories = dataset.categories
    assert categories.wnid == ["n00015388", "n02084071", "n02121808", "n02958343"]
    assert categories.names[2] == "café cat"
    assert categories.parents == ((), (0,), (0,), ())
    assert categories.index("n02084071") == 1
    assert repr(categories).startswith(f"Categories({len(categories)}: {categories.wnid[0]} ")
    assert categories.positives.tolist() == [5, 9, 0, 9]
    with pytest.raises(DatasetError):
        categories.index("n99999999")
    mapped = dataset.mappings[1]
    assert (mapped.source, mapped.id, mapped.name, mapped.category) == ("open_images", "/m/0bt9lr", "Dog", 1)
    assert (mapped.method, mapped.evidence) == ("lemma", "lemma dog of n02084071")
    assert [one.category for one in dataset.mappings] == [1, 1, -1]
    assert dataset.rules == TABLES["rules"]


def test_images_that_cross_chunks_and_files_are_read_whole(tmp_path: Path) -> None:
    layout = Layout(images_per_shard=16, chunk_bytes=16, shard_bytes=48)
    images = [image(i, size=100) for i in ids(16)]
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images, layout)}, layout)
    split = open_dataset(tmp_path / "d.zarr").train
    assert everything(split, 16) == [one.data for one in images]


def everything(split: Split, images: int) -> list[bytes]:
    """The files of the first images, which both ways of reading give."""
    files, buffer = [split.read(row) for row in range(images)], ReadBuffer()
    for rows in (range(images), range(images - 1, -1, -1), range(0, images, 2)):
        assert [bytes(file) for file in split.read_into(rows, buffer)] == [files[row] for row in rows]
    return files


def rewrite(path: Path, *, order: str) -> None:
    """The shard files of the copy are written again by zarr-python so that chunks move or leave holes."""
    array = zarr.open_array(str(path / "train/images/data"), mode="r+")
    values = np.asarray(array[...])
    shutil.rmtree(path / "train/images/data/c")
    chunks = range(0, array.shape[1], 256)
    for begin in reversed(chunks) if order == "reversed" else chunks:
        array[:, begin : begin + 256] = values[:, begin : begin + 256]


def test_a_file_whose_index_is_in_another_order_is_read_through_zarr(
    dataset_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffle_index(dataset_copy / "train/images/data/c/1/0")
    split = open_dataset(dataset_copy).train
    slow: list[int] = []
    honest = Split._read_slowly
    monkeypatch.setattr(
        Split, "_read_slowly", lambda self, row, *span: slow.append(row) or honest(self, row, *span)
    )
    assert everything(split, 37) == [one.data for one in IMAGES]
    assert slow
    assert all(row // 8 == 1 for row in slow)


def shuffle_index(file: Path) -> None:
    """The chunks of a shard file lie in reverse order, as another writer may leave them."""
    import google_crc32c

    raw = file.read_bytes()
    index = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2).copy()
    stored = int((index[:, 1] == 256).sum())
    chunks = [raw[n * 256 : n * 256 + 256] for n in range(stored)]
    index[:stored, 0] = index[:stored, 0][::-1]
    tail = index.tobytes()
    file.write_bytes(b"".join(reversed(chunks)) + tail + int(google_crc32c.value(tail)).to_bytes(4, "little"))


@pytest.mark.parametrize("order", ["forward", "reversed"])
def test_files_written_again_by_zarr_are_read_right(dataset_copy: Path, order: str) -> None:
    rewrite(dataset_copy, order=order)
    split = open_dataset(dataset_copy).train
    assert everything(split, 37) == [one.data for one in IMAGES]


def test_chunks_that_are_compressed_are_read_right(dataset_copy: Path) -> None:
    path = dataset_copy / "train/images/data"
    values = np.asarray(zarr.open_array(str(path), mode="r")[...])
    shutil.rmtree(path)
    zarr.create_array(store=str(path), shape=values.shape, dtype="u1", chunks=(1, 64), shards=(1, 128))[
        ...
    ] = values
    split = open_dataset(dataset_copy).train
    assert everything(split, 37) == [one.data for one in IMAGES]


def test_a_hole_of_zeros_is_read_as_zeros(tmp_path: Path) -> None:
    import hashlib

    names = ids(3)
    data = [b"a" * 100, bytes(900), b"c" * 2000]
    images = [
        image(n, data=d, digest=hashlib.sha256(d).digest(), status=0)
        for n, d in zip(names, data, strict=True)
    ]
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images)})
    split = open_dataset(tmp_path / "d.zarr").train
    assert everything(split, 3) == data


def test_a_lost_shard_file_is_damage_and_not_zeros(dataset_copy: Path) -> None:
    (dataset_copy / "train/images/data/c/0/0").unlink()
    split = open_dataset(dataset_copy).train
    row = next(row for row in range(8) if IMAGES[row].data)
    for read in (split.read, lambda row: split.read_into([row], ReadBuffer())):
        with pytest.raises(DamagedDataset) as caught:
            read(row)
        assert caught.value.code == "image-differs"
    assert split.read(20) == IMAGES[20].data


def test_a_disk_that_fails_is_named_and_is_no_damage(
    dataset_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = open_dataset(dataset_copy).train
    row = next(row for row in range(8) if IMAGES[row].data)

    def failing(*_: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        patched.setattr(os, "preadv", failing)
        for read in (split.read, lambda row: split.read_into([row], ReadBuffer())):
            with pytest.raises(DatasetError) as caught:
                read(row)
            assert caught.value.code == "shard-unreadable"
            assert not isinstance(caught.value, DamagedDataset)
            assert str(dataset_copy / "train/images/data/c/0/0") in str(caught.value)
    assert split.read(row) == IMAGES[row].data


def test_a_shard_that_shrinks_while_it_is_read_is_damage(dataset_copy: Path) -> None:
    split = open_dataset(dataset_copy).train
    row = max(row for row in range(8) if IMAGES[row].data)
    split.read(row)  # the file is open
    for file in (dataset_copy / "train/images/data/c/0").iterdir():
        os.truncate(file, 10)
    for read in (split.read, lambda row: split.read_into([row], ReadBuffer())):
        with pytest.raises(DamagedDataset) as caught:
            read(row)
        assert caught.value.code == "shard-truncated"


def test_a_machine_without_preadv_reads_the_same(train: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.dataset.read.shard_reader.HAS_PREADV", False)
    assert everything(train, 37) == [one.data for one in IMAGES]


def test_a_reader_is_pickled_with_everything_it_gave_out(train: Split) -> None:
    row = next(row for row in range(37) if IMAGES[row].data)
    found = pickle.loads(pickle.dumps(train[row]))
    assert found == train[row]
    assert found.data == IMAGES[row].data
    dataset = pickle.loads(pickle.dumps(train.dataset))
    assert isinstance(dataset, Dataset)
    assert dataset.train.read(row) == IMAGES[row].data
    assert len(pickle.dumps(train)) < 1000


def test_threads_share_a_reader(train: Split) -> None:
    rows = np.random.default_rng(0).integers(0, 37, 500).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(train.read, rows))
        images = list(pool.map(lambda row: (train[row].id, len(train[row].labels)), rows))
    assert found == [IMAGES[row].data for row in rows]
    assert [name for name, _ in images] == [IMAGES[row].id for row in rows]


def test_few_open_files_serve_many_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.dataset.read.shard_reader.OPEN_FILES", 3)
    layout = Layout(images_per_shard=1, chunk_bytes=64, shard_bytes=64)
    images = [image(i, size=50) for i in ids(9)]
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images, layout)}, layout)
    split = open_dataset(tmp_path / "d.zarr").train
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(split.read, list(range(9)) * 9)) == [one.data for one in images] * 9
    assert len(held_below(tmp_path)) <= 3
    split.dataset.close()
    assert held_below(tmp_path) == []


def held_below(root: Path) -> list[Path]:
    """The files below `root` that this process holds open."""
    held = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor that lists the directory
            held.append(link.readlink())
    return [path for path in held if path.is_relative_to(root)]


def _child(split: Split, rows: list[int]) -> list[tuple[bytes, str]]:
    return [(split.read(row), split[row].id) for row in rows]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_another_process_reads_what_it_was_handed(train: Split, method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_child, (train, [0, 36])) == [(IMAGES[row].data, IMAGES[row].id) for row in (0, 36)]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_reads_on_while_its_parent_holds_the_locks(train: Split) -> None:
    assert train.read(5) == IMAGES[5].data
    reading, writing = os.pipe()
    train._columns._columns._lock.acquire()
    train._stream._files._lock.acquire()
    child = os.fork()
    if child == 0:
        ok = all(train.read(row) == IMAGES[row].data and train[row].id == IMAGES[row].id for row in range(37))
        os.write(writing, b"1" if ok else b"0")
        os._exit(0)
    train._columns._columns._lock.release()
    train._stream._files._lock.release()
    os.close(writing)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    os.waitpid(child, 0)
    assert train.read(5) == IMAGES[5].data


def test_a_closed_reader_says_so(original_dataset: Path) -> None:
    with open_dataset(original_dataset) as dataset:
        dataset.train.read(0)
    with pytest.raises(DatasetError) as caught:
        _ = [dataset.train.read(row) for row in range(8)]
    assert caught.value.code == "dataset-closed"


def test_a_dataset_replaced_under_a_reader_is_noticed(shards: list[ShardOutput], tmp_path: Path) -> None:
    build(tmp_path / "d.zarr", {"train": shards})
    dataset = open_dataset(tmp_path / "d.zarr")
    pickled = pickle.dumps(dataset)
    build(tmp_path / "d.zarr", {"train": shards[:2]})
    with pytest.raises(DatasetError) as caught:
        dataset.train[0]
    assert caught.value.code == "dataset-replaced"
    with pytest.raises(DatasetError, match="was replaced"):
        pickle.loads(pickled)


def opening_problem(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    assert caught.value.problems[0].hint
    return caught.value.code


def test_what_is_no_dataset_is_refused_with_a_reason(dataset_copy: Path, tmp_path: Path) -> None:
    assert opening_problem(tmp_path / "none") == "dataset-missing"
    assert opening_problem(tmp_path) == "not-a-dataset"
    file = tmp_path / "file"
    file.write_text("x")
    assert opening_problem(file) == "not-a-dataset"
    zarr.create_group(store=str(tmp_path / "other.zarr"))
    assert opening_problem(tmp_path / "other.zarr") == "not-a-dataset"
    root = dataset_copy / "zarr.json"
    text = root.read_text()
    root.write_text(text.replace("mlimg-dataset/3", "mlimg-dataset/0"))
    assert opening_problem(dataset_copy) == "format-unsupported"
    root.write_text(text.replace('"layout"', '"layouts"'))
    assert opening_problem(dataset_copy) == "dataset-unreadable"
    root.write_text(text[:-20])
    assert opening_problem(dataset_copy) == "dataset-unreadable"
    root.write_text(text)
    (dataset_copy / "train/zarr.json").unlink()
    assert opening_problem(dataset_copy) == "dataset-unreadable"
    root.unlink()
    assert opening_problem(dataset_copy) == "dataset-incomplete"


def test_a_split_that_is_not_there_is_named(original_dataset: Path) -> None:
    with pytest.raises(DatasetError, match="no split 'test'"):
        _ = open_dataset(original_dataset)["test"]


def test_the_digest_of_a_recoded_images_source_is_kept(tmp_path: Path) -> None:
    layout = Layout(images_per_shard=4, chunk_bytes=64, shard_bytes=64, source_digest=True)
    images = [image(i, source_digest=bytes([n]) * 32) for n, i in enumerate(ids(3))]
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images, layout)}, layout)
    assert [one.source_digest for one in open_dataset(tmp_path / "d.zarr").train] == [
        (bytes([n]) * 32).hex() for n in range(3)
    ]


def test_a_split_that_is_not_there_is_no_attribute(original_dataset: Path) -> None:
    dataset = open_dataset(original_dataset)
    assert hasattr(dataset, "train")
    del dataset.splits["train"]
    assert not hasattr(dataset, "train")
    with pytest.raises(DatasetError, match="choose one of"):
        dataset["transfer"]
