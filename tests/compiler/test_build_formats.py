"""Builds of every format of images: originals kept, re-encoded, trained on; a decoder that is missing is an error."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image, features

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan import format_dependence
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.exporters import EXPORTERS, export
from mlimg_build.images import DECODERS, Decoder, decode, decoders
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import backend, inline

SPEC = """\
mlimg: 1
name: formats
version: 1.0.0
sources: {{photos: {{type: folder, images: img}}}}
images: {images}
dataset: {{images_per_shard: 8}}
"""
needs = pytest.mark.skipif(
    not all(map(features.check, ("libtiff", "avif", "jpg_2000"))), reason="this Pillow lacks a decoder"
)
pytestmark = needs


def files() -> dict[str, bytes]:
    """A photograph in each format, by its file's name."""
    picture = Image.open(io.BytesIO(crops("chelsea", 1)[0])).convert("RGB").resize((48, 40))
    wanted = {
        "jpeg.jpg": ("JPEG", {}),
        "png.png": ("PNG", {}),
        "bmp.bmp": ("BMP", {}),
        "raw.tif": ("TIFF", {}),
        "lzw.tiff": ("TIFF", {"compression": "tiff_lzw"}),
        "avif.avif": ("AVIF", {}),
        "jp2.jp2": ("JPEG2000", {}),
        "j2k.j2k": ("JPEG2000", {"no_jp2": True}),
        "misnamed.jpg": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    }
    made = {}
    for number, (name, (kind, options)) in enumerate(wanted.items()):
        stream = io.BytesIO()
        picture.rotate(number).save(stream, kind, **options)  # no two with the same pixels
        made[name] = stream.getvalue()
    try:
        import pillow_heif
    except ImportError:
        return made
    stream = io.BytesIO()
    pillow_heif.from_pillow(picture.rotate(20)).save(stream)
    return {**made, "heic.heic": stream.getvalue()}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return files()


def spec_in(folder: Path, made: dict[str, bytes], images: str = "{encoding: original}") -> Path:
    (folder / "img/dog").mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (folder / "img/dog" / name).write_bytes(data)
    (folder / "formats.yaml").write_text(SPEC.format(images=images))
    return folder / "formats.yaml"


@pytest.mark.few(1)
@pytest.mark.parametrize("images", ["{encoding: original}", "{encoding: {short_side: 32, quality: 90}}"])
def test_a_folder_of_all_formats_has_one_digest_with_one_and_two_workers(
    tmp_path: Path, made: dict[str, bytes], images: str
) -> None:
    spec = load_spec(spec_in(tmp_path, made, images))
    one = build(spec, tmp_path / "one", backend(1))
    assert one.digest == build(spec, tmp_path / "two", backend(2)).digest
    with open_dataset(one.dataset) as dataset:
        rows = {image.id: (image.status, bytes(image.data)) for image in dataset["train"]}
    assert len(rows) == len(made)
    assert {status for status, _ in rows.values()} == {"ok"}
    for name, data in made.items():
        (stored,) = (
            found for image, (_, found) in rows.items() if image == f"photos/dog/{name.split('.')[0]}"
        )
        assert stored == data if "original" in images else stored.startswith(b"\xff\xd8\xff")
        assert decode(stored).shape == ((40, 48, 3) if "original" in images else (32, 38, 3))


@pytest.mark.parametrize("decoder", DECODERS)
def test_training_reads_every_format(tmp_path: Path, made: dict[str, bytes], decoder: Decoder) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from mlimg_build.training.data.samples import Samples

    built = build(load_spec(spec_in(tmp_path, made)), tmp_path / "out", inline())
    with open_dataset(built.dataset) as dataset:
        samples = Samples(dataset, "train")
        rows = range(len(dataset["train"]))
        opened = [samples.open(row, decoder) for row in rows]
        assert {(one.width, one.height) for one in opened} == {(48, 40)}
        crops = np.zeros((len(rows), 40, 40, 3), np.uint8)
        boxes, mirrored = np.array([[4.0, 0, 44, 40]] * len(rows)), np.zeros(len(rows), bool)
        samples.crops(rows, opened, boxes, mirrored, crops, decoder, bounded=True)
    spread = crops.astype(int).max(axis=0) - crops.min(axis=0)
    assert np.median(spread) < 30  # one picture, by encoders that lose more or less
    assert crops.std() > 10


def test_an_export_names_each_format_by_its_suffix(tmp_path: Path, made: dict[str, bytes]) -> None:
    built = build(load_spec(spec_in(tmp_path, made)), tmp_path / "out", inline())
    export(built.dataset, tmp_path / "tars", "webdataset", EXPORTERS["webdataset"])
    with tarfile.open(tmp_path / "tars/train-000000.tar") as tar:
        found = {PurePosixPath(name).name for name in tar.getnames() if not name.endswith(".json")}
    usual = {"lzw.tiff": "lzw.tif", "misnamed.jpg": "misnamed.tif", "jpeg.jpg": "jpeg.jpg"}
    assert found == {usual.get(name, name) for name in made}


def test_a_missing_decoder_is_an_error_at_the_source_and_no_status(
    tmp_path: Path, made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(spec_in(tmp_path, made))
    kept = {name: version for name, version in decoders.decoder_versions().items() if name != "avif"}
    with monkeypatch.context() as patched:
        patched.setattr(decoders, "decoder_versions", lambda: kept)
        with pytest.raises(MlimgError) as caught:
            build(spec, tmp_path / "out", inline())
    (problem,) = caught.value.problems
    assert problem.code == "decoder-missing"
    assert problem.message.startswith("photos/dog/avif: AVIF is not read here")
    assert problem.place is not None
    assert "pip install" in (problem.hint or "")
    whole = build(spec, tmp_path / "out", inline())  # nothing of the failure was kept
    assert whole.digest == build(spec, tmp_path / "clean", inline()).digest


def test_files_that_were_in_no_format_are_asked_again_when_more_formats_are_read(
    tmp_path: Path, made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = spec_in(tmp_path, {**made, "new.jpg": b"\xff\x0a" + bytes(40)})
    with monkeypatch.context() as patched:
        patched.setattr(format_dependence, "FORMATS", ("gif", "jpeg", "png", "webp"))
        built = build(load_spec(path), tmp_path / "out", inline())
        assert build(load_spec(path), tmp_path / "out", inline()).read == 0
    again = build(load_spec(path), tmp_path / "out", inline())
    assert again.digest == built.digest
    assert 0 < again.read <= 8 + 8
    assert build(load_spec(path), tmp_path / "out", inline()).read == 0


def test_re_encoded_images_are_made_again_by_another_decoder_and_jpegs_are_not(
    tmp_path: Path, made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = "{encoding: {short_side: 32, quality: 90}}"
    jpegs = {f"{number}.jpg": data for number, data in enumerate(crops("rocket", 3))}
    others = {**decoders.decoder_versions(), "tiff": "another libtiff"}
    for name, files, expected in (("jpegs", jpegs, False), ("all", made, True)):
        path = spec_in(tmp_path / name, files, encoded)
        build(load_spec(path), tmp_path / name / "out", inline())
        with monkeypatch.context() as patched:
            patched.setattr(format_dependence, "decoder_versions", lambda: others)
            assert (build(load_spec(path), tmp_path / name / "out", inline()).read > 0) is expected


def test_a_stored_original_needs_no_decoder_of_its_version(tmp_path: Path, made: dict[str, bytes]) -> None:
    assert format_dependence.dependence({"tiff", "jpeg"}, {"truncated"}, encoded=False) == {}
    assert set(format_dependence.dependence({"tiff", "jpeg"}, set(), encoded=True)["decoders"]) == {"tiff"}
    assert np.asarray(decode(made["raw.tif"])).shape == (40, 48, 3)
