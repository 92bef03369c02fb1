"""Tars are read in place: every image by its offset, and damage costs only what lies behind it."""

from __future__ import annotations

import errno
import gzip
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import TransientError
from mlimg_build.sources import Notes
from mlimg_build.sources.tar_index import Member, members
from tests.support.source_world import write, write_tar

BLOCK = tarfile.BLOCKSIZE
PHOTOGRAPHS = {f"n01440764_{i}.JPEG": bytes([i]) * (300 * i) for i in range(1, 6)}
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def read(path: Path) -> tuple[dict[str, bytes], Notes]:
    """The bytes of every member that the tar is said to hold whole."""
    notes = Notes()
    data = path.read_bytes()
    found = members(path, notes)
    return {
        member.name: data[member.offset : member.offset + member.size] for member in found if member.whole
    }, notes


def extracted(path: Path, folder: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="fully_trusted")
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("form", FORMATS)
def test_members_equal_what_tarfile_extracts(tmp_path: Path, form: int) -> None:
    files = PHOTOGRAPHS | {
        "./a/./dotted.jpg": b"dotted",
        "n01440764/ü/日本.png": b"unicode",
        "empty.gif": b"",
    }
    path = write_tar(tmp_path / "n01440764.tar", files, form)
    found, notes = read(path)
    assert found == extracted(path, tmp_path / "out")
    assert not notes.counts


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_longer_than_a_header_are_read(tmp_path: Path, form: int) -> None:
    long = "/".join(["a" * 60] * 5) + "/photograph.jpeg"
    path = write_tar(tmp_path / "long.tar", {"first.jpg": b"1", long: b"22", "last.jpg": b"333"}, form)
    found, notes = read(path)
    assert found == {"first.jpg": b"1", long: b"22", "last.jpg": b"333"}
    assert not notes.counts


def test_the_last_member_of_a_name_counts_as_in_an_extraction(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "twice.tar", {"1.jpg": b"old", "2.jpg": b"two", "./1.jpg": b"newer"})
    found, notes = read(path)
    assert found == {"1.jpg": b"newer", "2.jpg": b"two"} == extracted(path, tmp_path / "out")
    assert dict(notes.counts) == {"member-twice": 1}


def test_a_hard_link_is_the_image_that_it_links_to_and_other_links_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    folder = tmp_path / "in"
    write(folder / "a.jpg", b"photograph")
    os.link(folder / "a.jpg", folder / "b.jpg")
    (folder / "c.jpg").symlink_to("a.jpg")
    with tarfile.open(path, "w") as tar:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            tar.add(folder / name, name)
    found, notes = read(path)
    assert found == {"a.jpg": b"photograph", "b.jpg": b"photograph"}
    assert notes.examples == {"not-a-plain-file": ["links.tar:c.jpg"]}


def test_hidden_and_other_files_in_a_tar_are_noted(tmp_path: Path) -> None:
    files = {"1.jpg": b"1", "._1.jpg": b"mac", ".hidden/2.jpg": b"2", "notes.txt": b"text", "noname": b""}
    found, notes = read(write_tar(tmp_path / "mixed.tar", files))
    assert found == {"1.jpg": b"1"}
    assert dict(notes.counts) == {"hidden": 2, "not-an-image-name": 2}
    assert notes.examples["not-an-image-name"] == ["mixed.tar:notes.txt", "mixed.tar:noname"]


def test_a_name_that_is_not_utf8_is_noted_and_costs_only_itself(tmp_path: Path) -> None:
    latin = os.fsdecode(b"b\xe4r.jpg")
    path = write_tar(tmp_path / "latin.tar", {"1.jpg": b"1", latin: b"2", "3.jpg": b"3"}, tarfile.GNU_FORMAT)
    found, notes = read(path)
    assert found == {"1.jpg": b"1", "3.jpg": b"3"}
    assert notes.examples == {"name-not-utf-8": ["latin.tar:b\\udce4r.jpg"]}


def offsets(path: Path) -> list[Member]:
    return members(path, Notes())


def test_a_tar_cut_inside_an_image_keeps_the_ones_before_and_marks_that_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cut.tar", PHOTOGRAPHS)
    third = offsets(path)[2]
    os.truncate(path, third.offset + 100)
    notes = Notes()
    found = members(path, notes)
    assert [member.name for member in found] == list(PHOTOGRAPHS)[:3]
    assert [member.whole for member in found] == [True, True, False]
    assert dict(notes.counts) == {"tar-cut": 1}


def test_a_tar_cut_inside_a_header_keeps_the_images_before(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cut.tar", PHOTOGRAPHS)
    os.truncate(path, offsets(path)[2].offset - 200)
    found, notes = read(path)
    assert found == dict(list(PHOTOGRAPHS.items())[:2])
    assert dict(notes.counts) == {"tar-cut": 1}


def test_a_tar_cut_between_two_images_is_noted(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cut.tar", PHOTOGRAPHS)
    os.truncate(path, offsets(path)[2].offset - BLOCK)
    found, notes = read(path)
    assert found == dict(list(PHOTOGRAPHS.items())[:2])
    assert notes.examples == {"tar-cut": ["cut.tar: cut or damaged at byte 2560, after 2 images"]}


@pytest.mark.parametrize(
    "damage", [b"\xff" * 40, bytes(BLOCK), b"\x00" * 2048], ids=["garbage", "zeros", "2KB"]
)
def test_a_damaged_header_in_the_middle_is_noted_and_costs_what_lies_behind(
    tmp_path: Path, damage: bytes
) -> None:
    path = write_tar(tmp_path / "hurt.tar", PHOTOGRAPHS)
    with path.open("r+b") as stream:
        stream.seek(offsets(path)[2].offset - BLOCK)
        stream.write(damage)
    found, notes = read(path)
    assert found == dict(list(PHOTOGRAPHS.items())[:2])
    assert dict(notes.counts) == {"tar-cut": 1}


def test_a_damaged_long_name_is_noted_and_costs_what_lies_behind(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "hurt.tar", {"1.jpg": b"1", "a" * 150 + ".jpg": b"2"}, tarfile.GNU_FORMAT)
    long = path.read_bytes().index(b"a" * 150)
    with path.open("r+b") as stream:
        stream.seek(long + BLOCK)  # the header that the long name is for
        stream.write(b"\xff" * BLOCK)
    found, notes = read(path)
    assert found == {"1.jpg": b"1"}
    assert dict(notes.counts) == {"tar-cut": 1}


def test_a_size_below_zero_does_not_go_round_for_ever(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "negative.tar", {"1.jpg": b"1", "2.jpg": b"2"})
    data = bytearray(path.read_bytes())
    header = slice(2 * BLOCK, 3 * BLOCK)
    member = tarfile.TarInfo.frombuf(bytes(data[header]), "utf-8", "strict")
    raw = bytearray(data[header])
    raw[124:136] = b"\xff" * 10 + b"\xfb\xff"  # base 256: -1025
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    data[header] = raw
    path.write_bytes(data)
    assert member.name == "2.jpg"
    found, notes = read(path)
    assert found == {"1.jpg": b"1"}
    assert dict(notes.counts) == {"tar-cut": 1}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "tar-empty"),
        (bytes(20 * BLOCK), "tar-empty"),
        (b"this is a text file, not a tar\n" * 200, "tar-unreadable"),
        (b"short", "tar-unreadable"),
        (gzip.compress(b"a compressed tar is not read in place" * 100, mtime=0), "tar-unreadable"),
    ],
    ids=["0 bytes", "no member", "text", "short", "gzip"],
)
def test_what_is_not_a_tar_with_images_is_noted(tmp_path: Path, data: bytes, code: str) -> None:
    path = write(tmp_path / "n01440764.tar", data)
    found, notes = read(path)
    assert not found
    assert dict(notes.counts) == {code: 1}


def test_a_folder_named_like_a_tar_is_noted(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / "a.tar").mkdir()
    assert members(tmp_path / "a.tar", notes) == []
    assert notes.counts["tar-unreadable"] == 1


def test_a_tar_that_is_gone_is_no_damaged_tar(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="was there and is gone"):
        members(tmp_path / "b.tar", Notes())


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE, errno.ENOTCONN])
def test_what_the_disk_or_the_mount_does_is_no_damage_of_a_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = write_tar(tmp_path / "n01440764.tar", PHOTOGRAPHS)
    real = tarfile.TarFile.next

    def next_(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        if tar.offset > BLOCK:
            raise OSError(code, os.strerror(code))
        return real(tar)

    monkeypatch.setattr(tarfile.TarFile, "next", next_)
    notes = Notes()
    with pytest.raises(TransientError, match=os.strerror(code)):
        members(path, notes)
    assert not notes.counts


def test_a_tar_that_grows_while_its_headers_are_read_is_read_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path / "n01440764.tar", PHOTOGRAPHS)
    real = tarfile.TarFile.next

    def next_(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        with path.open("ab") as stream:
            stream.write(bytes(BLOCK))
        return real(tar)

    monkeypatch.setattr(tarfile.TarFile, "next", next_)
    with pytest.raises(TransientError, match="changed while it was listed"):
        members(path, Notes())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_raises_and_the_images_before_it_stand(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = write_tar(folder / "whole.tar", PHOTOGRAPHS, data.draw(st.sampled_from(FORMATS)))
    whole = {member.name: member for member in offsets(path)}
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        hurt = data.draw(st.binary(min_size=1, max_size=700))[: len(raw) - at]
        raw[at : at + len(hurt)] = hurt
    else:
        del raw[at:]
    found = {member.name: member for member in members(write(folder / "hurt.tar", bytes(raw)), Notes())}
    for name, member in whole.items():
        if member.offset + member.size <= at:
            assert found[name] == member


def test_a_member_with_a_zero_byte_in_its_name_is_noted(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "zero.tar", {"a.jpg": b"1", "ü\0c.jpg": b"2", "d.jpg": b"3"}, tarfile.PAX_FORMAT
    )
    notes = Notes()
    found = [member.name for member in members(path, notes)]
    assert not any("\0" in name for name in found)
    assert {"a.jpg", "d.jpg"} <= {*found}
    assert notes.examples == {"zero-byte": ["zero.tar:ü\\0c.jpg"]}
