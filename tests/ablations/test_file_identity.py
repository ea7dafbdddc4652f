"""Files and datasets stand in a signature by what they hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablations import signature as fingerprint
from ablations.signature import data_identity, dataset_fault, file_identity, signature
from core.config.overrides import override
from core.config.schema import Config, DataConfig


def write(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_copy_is_the_same_and_a_change_is_not(tmp_path: Path) -> None:
    one, copy = write(tmp_path / "a.pth"), write(tmp_path / "deep" / "b.pth")
    assert file_identity(one) == file_identity(copy)
    before = file_identity(one)
    os.utime(write(one, b"Weights"), ns=(1, 1))
    assert file_identity(one) != before
    assert file_identity(one) != file_identity(write(tmp_path / "c", b"Weights\0"))


def test_no_file_and_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_identity(None) is None
    assert file_identity(tmp_path / "nope") == f"path:{tmp_path / 'nope'}"
    assert file_identity(tmp_path) == f"path:{tmp_path}"
    monkeypatch.chdir(tmp_path)
    assert file_identity(Path("nope")) == f"path:{tmp_path / 'nope'}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert file_identity(Path("~/nope")) == f"path:{tmp_path / 'nope'}"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling from 64 bytes on, in blocks of 2."""
    monkeypatch.setattr(fingerprint, "_WHOLE", 64)
    monkeypatch.setattr(fingerprint, "_BLOCK", 2)
    fingerprint._digest.cache_clear()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("place", "seen"), [(0, True), (99, True), (50, False)])
def test_large_weights_are_sampled(tmp_path: Path, place: int, seen: bool) -> None:
    content = bytearray(100)
    one = write(tmp_path / "a", bytes(content))
    content[place] = 1
    other = write(tmp_path / "b", bytes(content))
    assert (file_identity(one) != file_identity(other)) == seen
    assert file_identity(one, whole=True) != file_identity(other, whole=True)


@pytest.mark.usefixtures("small_blocks")
def test_sampling_sees_the_size(tmp_path: Path) -> None:
    assert file_identity(write(tmp_path / "a", bytes(100))) != file_identity(
        write(tmp_path / "b", bytes(101))
    )


@pytest.mark.parametrize("field", ["backbone.pretrained", "train.init", "data.split_file"])
def test_signatures_follow_the_content_of_files(field: str, tmp_path: Path) -> None:
    one, copy = write(tmp_path / "a"), write(tmp_path / "b")
    other = write(tmp_path / "c", b"other")

    def of(path: Path) -> str:
        return signature(override(Config(), {field: str(path)}))

    assert of(one) == of(copy) != of(other)
    assert of(one) != signature(Config())
    before = of(one)
    os.utime(write(one, b"changed"), ns=(1, 1))
    assert of(one) != before


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write(tmp_path / "yt" / "train.json", b"{}")
    (tmp_path / "yt" / "JPEGImages").mkdir()
    return tmp_path / "yt"


def data(root: Path | str, **values: str) -> DataConfig:
    return DataConfig(root=str(root), **values)  # type: ignore[arg-type]


def test_a_dataset_is_its_annotations_and_its_folder(dataset: Path, tmp_path: Path) -> None:
    before = data_identity(data(dataset))
    assert data_identity(data(dataset, annotations="train.json")) == before
    assert data_identity(data(f"{dataset}/../yt")) == before
    (tmp_path / "link").symlink_to(dataset)
    assert data_identity(data(tmp_path / "link")) == before
    assert data_identity(data(dataset, images="JPEGImages")) != before
    os.utime(write(dataset / "train.json", b"[]"), ns=(1, 1))
    assert data_identity(data(dataset)) != before


def test_a_relative_root_is_the_absolute_one(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    assert data_identity(data("yt")) == data_identity(data(dataset))


def test_a_missing_dataset_stands_by_its_path(tmp_path: Path) -> None:
    found = data_identity(data(tmp_path / "a", annotations="x.json"))
    assert found["annotations"] == f"path:{tmp_path / 'a' / 'x.json'}"
    assert found != data_identity(data(tmp_path / "b", annotations="x.json"))


def test_the_generated_dataset_has_no_files() -> None:
    assert data_identity(DataConfig()) == {"split_file": None}


def test_dataset_faults(dataset: Path, tmp_path: Path) -> None:
    assert dataset_fault(DataConfig()) is None
    assert dataset_fault(data(dataset)) is None
    assert dataset_fault(data(dataset / "train.json")) is None
    assert dataset_fault(data(dataset, images="JPEGImages")) is None
    assert "no such image folder" in str(dataset_fault(data(dataset, images="frames")))
    assert "no such annotation file" in str(dataset_fault(data(dataset, annotations="x.json")))
    (tmp_path / "empty").mkdir()
    assert "no annotation file; looked for" in str(dataset_fault(data(tmp_path / "empty")))
    assert "no such folder" in str(dataset_fault(data(tmp_path / "nope")))
