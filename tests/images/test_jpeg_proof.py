"""A JPEG is proved by decoding it strictly: what is refused, and what must not be."""

from __future__ import annotations

import hashlib
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlimg_build.images import BadImage, ImageInfo, Status, decode_fully
from mlimg_build.images.formats.jpeg_segments import header

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
LIMIT = 100_000_000
Save = Callable[..., bytes]


def status_of(data: bytes) -> Status:
    try:
        decode_fully(data, LIMIT)
    except BadImage as error:
        refusal = error
    else:
        return Status.ok
    assert len(refusal.problems) == 1
    assert "\n" not in refusal.reason
    assert not refusal.reason.endswith(".")
    return refusal.status


def inserted(data: bytes, at: int, extra: bytes) -> bytes:
    return data[:at] + extra + data[at:]


def test_photographs_from_wheels_are_whole(photographs: dict[str, bytes]) -> None:
    assert {name: status_of(data) for name, data in photographs.items()} == dict.fromkeys(
        photographs, Status.ok
    )


def test_the_proof_states_size_mode_and_orientation(picture: Image.Image, saved: Save) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_fully(saved(picture, "JPEG"), LIMIT) == ImageInfo("jpeg", 96, 64, "RGB", 1)
    assert decode_fully(saved(picture, "JPEG", exif=exif), LIMIT) == ImageInfo("jpeg", 64, 96, "RGB", 6)
    assert decode_fully(saved(picture.convert("L"), "JPEG"), LIMIT) == ImageInfo("jpeg", 96, 64, "L", 1)
    assert decode_fully(saved(picture.convert("CMYK"), "JPEG"), LIMIT) == ImageInfo("jpeg", 96, 64, "CMYK", 1)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_truncated(photographs: dict[str, bytes], share: float) -> None:
    for data in photographs.values():
        assert status_of(data[: int(len(data) * share)]) is Status.truncated


def test_every_prefix_of_a_jpeg_is_refused(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG")
    assert status_of(data) is Status.ok
    kinds = {status_of(data[:i]) for i in range(len(data))}
    assert kinds == {Status.empty, Status.unrecognised, Status.truncated}


def test_two_kilobytes_of_zeros_in_mid_scan_are_seen_wherever_they_lie(photographs: dict[str, bytes]) -> None:
    draw = random.Random(2)
    for data in photographs.values():
        first = header(data).scan
        for _ in range(25):
            at = draw.randrange(first, len(data) - 2050)
            assert status_of(data[:at] + bytes(2048) + data[at + 2048 :]) is Status.corrupt


def test_a_file_filled_up_with_zeros_is_refused(photographs: dict[str, bytes]) -> None:
    for data in photographs.values():
        half = len(data) // 2
        assert status_of(data[:half] + bytes(len(data) - half)) in {Status.corrupt, Status.truncated}


def test_an_even_area_that_codes_as_zeros_is_no_damage(saved: Save) -> None:
    data = saved(Image.new("L", (2000, 2000), 128), "JPEG", optimize=True)
    assert bytes(64) in data
    assert status_of(data) is Status.ok


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_kind_of_jpeg_is_proved_and_its_half_refused(
    picture: Image.Image, saved: Save, options: dict[str, object], mode: str
) -> None:
    data = saved(picture.convert(mode), "JPEG", **options)
    assert status_of(data) is Status.ok
    assert status_of(data[: len(data) // 2]) is Status.truncated


@pytest.mark.parametrize(
    "extra", [b"\x00" * 5000, b"<!-- sent by a proxy -->", b"\xff\xd8\xff\xe0 cut second image"]
)
def test_bytes_after_the_end_marker_are_no_damage(photographs: dict[str, bytes], extra: bytes) -> None:
    for data in photographs.values():
        assert status_of(data + extra) is Status.ok


def test_a_missing_end_marker_is_truncated(photographs: dict[str, bytes]) -> None:
    for data in photographs.values():
        end = data.rindex(b"\xff\xd9")
        assert status_of(data[:end]) is Status.truncated


def test_what_libjpeg_warns_of_without_harm_is_accepted(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG")
    jfif = data.index(b"JFIF\x00") + 5
    selection = header(data).scan - 3
    harmless = {
        "bytes between segments": inserted(data, 20, b"\x00" * 8),
        "JFIF revision 7": data[:jfif] + b"\x07" + data[jfif + 1 :],
        "spectral selection 0 to 0": data[: selection + 1] + b"\x00" + data[selection + 2 :],
        "Adobe transform 9": inserted(data, 20, b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x09"),
    }
    assert {name: status_of(bytes_) for name, bytes_ in harmless.items()} == dict.fromkeys(
        harmless, Status.ok
    )
    broken = {name: bytes_[:-60] + bytes_[-20:] for name, bytes_ in harmless.items()}
    assert {name: status_of(bytes_) for name, bytes_ in broken.items()} == dict.fromkeys(
        broken, Status.corrupt
    )


def test_a_sampling_without_a_name_is_proved_by_the_other_decoder(saved: Save) -> None:
    data = saved(Image.new("RGB", (16, 16), (128, 128, 128)), "JPEG", subsampling=2)
    chroma = data.index(b"\xff\xc0") + 14
    assert data[chroma - 1 : chroma + 1] == b"\x02\x11"
    # four blocks of grey, two of blue, one of red, in the codes of the standard tables
    bits = "001010" * 4 + "0000" * 3
    scan = int(bits + "1" * (-len(bits) % 8), 2).to_bytes(5, "big")
    odd = data[:chroma] + b"\x21" + data[chroma + 1 : header(data).scan] + scan + b"\xff\xd9"
    assert decode_fully(odd, LIMIT) == ImageInfo("jpeg", 16, 16, "RGB", 1)
    assert status_of(odd[:-4]) is Status.truncated


def test_jpegs_that_are_not_read_say_why(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG")
    frame = data.index(b"\xff\xc0")
    with pytest.raises(BadImage, match="12 bits a sample is not read"):
        decode_fully(data[: frame + 4] + b"\x0c" + data[frame + 5 :], LIMIT)
    with pytest.raises(BadImage, match="process SOF3 is not read"):
        decode_fully(data[: frame + 1] + b"\xc3" + data[frame + 2 :], LIMIT)
    with pytest.raises(BadImage, match="0 pixels large"):
        decode_fully(data[: frame + 5] + b"\x00\x00" + data[frame + 7 :], LIMIT)


def test_a_jpeg_of_a_thousand_scans_is_refused_at_once(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    with pytest.raises(BadImage, match="more than 500 scans"):
        decode_fully(data[:first] + data[first:second] * 1000 + data[second:], LIMIT)


def test_the_pixel_limit_is_inclusive(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG")
    assert decode_fully(data, 96 * 64).width == 96
    with pytest.raises(BadImage) as caught:
        decode_fully(data, 96 * 64 - 1)
    assert caught.value.status is Status.too_many_pixels


def test_no_real_photograph_is_refused_by_mistake(imagenet_sample: list[bytes]) -> None:
    images = list(imagenet_sample)
    for tar in sorted((SHARED / "tiny-imagenet" / "train").glob("*.tar"))[:20]:
        with tarfile.open(tar) as members:
            images += [stream.read() for member in members if (stream := members.extractfile(member))]
    images += [file.read_bytes() for file in sorted((SHARED / "coco-open-images" / "images").rglob("*.jpg"))]
    refused = [hashlib.sha256(data).hexdigest() for data in images if status_of(data) is not Status.ok]
    assert len(images) > 2000
    assert refused == []


def test_damage_that_pillow_passes_is_seen_in_real_photographs(imagenet_sample: list[bytes]) -> None:
    draw = random.Random(5)
    for data in imagenet_sample[::4]:
        first = header(data).scan
        at = draw.randrange(first, len(data) - 514)
        assert status_of(data[:at] + bytes(512) + data[at + 512 :]) is Status.corrupt
        assert status_of(data[:at] + data[at + 512 :]) in {Status.corrupt, Status.truncated}
        assert status_of(data[:-100]) is Status.truncated
