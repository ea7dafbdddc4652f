import pickle
import random
import resource
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import UserError
from core.training.checkpoint import (
    find_checkpoint,
    read_file,
    rng_state,
    save_checkpoint,
    set_rng_state,
    state_dict_of,
)
from core.training.pretrained import load_weights


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(backbone=nn.Linear(3, 4), fc_cls=nn.Linear(4, 40)))


def published_like(state):
    """What mmcv saves, meta and all."""
    return {
        "meta": {
            "mmdet_version": "2.20.0",
            "CLASSES": ("person", "giant_panda"),
            "epoch": 12,
            "best": np.float64(38.9),
            "mean": np.array([1.0, 2.0], np.float32),
            "hook_msgs": {"last_ckpt": "iter_9200.pth", "score": np.float32(0.5)},
            "PALETTE": None,
        },
        "state_dict": OrderedDict(state),
        "optimizer": {"state": {}, "param_groups": [{"lr": 2.5e-4, "params": [0, 1]}]},
    }


@pytest.mark.parametrize("zip_format", [True, False])
def test_published_file_loads_with_a_report(tmp_path, model, zip_format):
    theirs = {
        "backbone.weight": torch.ones(4, 3),
        "fc_cls.weight": torch.ones(80, 4),
        "fc_cls.bias": torch.ones(80),
        "rpn_head.extra": torch.ones(1),
    }
    path = tmp_path / "queryinst_coco.pth"
    torch.save(published_like(theirs), path, _use_new_zipfile_serialization=zip_format)
    before = model.fc_cls.weight.clone()
    report = load_weights(model, path)
    assert report.loaded == ("backbone.weight",)
    assert report.missing == ("backbone.bias",)
    assert report.unexpected == ("rpn_head.extra",)
    assert report.other_shape == {
        "fc_cls.weight": ((80, 4), (40, 4)),
        "fc_cls.bias": ((80,), (40,)),
    }
    assert not report.complete
    assert model.backbone.weight.eq(1).all() and model.fc_cls.weight.equal(before)
    text = report.summary()
    assert "1 of the model's tensors loaded" in text
    assert "fc_cls.weight (80x4 in the file, 40x4 here)" in text
    assert "backbone.bias" in text and "rpn_head.extra" in text


def test_summary_of_many_names_is_short(tmp_path, model):
    path = tmp_path / "a.pth"
    torch.save({f"x{i}": torch.ones(1) for i in range(50)} | {"backbone.bias": torch.ones(4)}, path)
    text = load_weights(model, path).summary(names=3)
    assert "50 not in the model: x0, x1, x2, and 47 more" in text


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}, lambda s: {"state_dict": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_common_wrapping_is_understood(tmp_path, model, wrap, prefix):
    path = tmp_path / "a.pth"
    torch.save(wrap({prefix + n: v for n, v in model.state_dict().items()}), path)
    assert load_weights(model, path).complete


def test_old_files_without_batch_norm_counters_are_complete(tmp_path):
    norm = nn.Sequential(nn.BatchNorm2d(2))
    state = {n: v for n, v in norm.state_dict().items() if "num_batches" not in n}
    torch.save(state, tmp_path / "a.pth")
    assert load_weights(norm, tmp_path / "a.pth").complete


def test_a_file_that_fits_nothing_is_an_error(tmp_path, model):
    path = tmp_path / "vgg.pth"
    torch.save({"features.0.weight": torch.ones(1)}, path)
    with pytest.raises(UserError, match=r"(?s)vgg\.pth: nothing in it fits.*features\.0\.weight"):
        load_weights(model, path)


@pytest.mark.parametrize("contents", [{}, {"state_dict": {}}, [1, 2], {"meta": "x"}])
def test_a_file_without_tensors_is_an_error(tmp_path, contents):
    with pytest.raises(UserError, match="no named tensors"):
        state_dict_of(contents, tmp_path / "a.pth")


def test_lazy_reading_takes_no_memory_for_what_is_not_used(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {"a": torch.arange(10.0)}, "optimizer": torch.ones(30_000_000)}, path)
    before = resident_bytes()
    contents = read_file(path, lazy=True)
    assert resident_bytes() - before < 60_000_000, "the file has 120 MB"
    assert contents["state_dict"]["a"].equal(torch.arange(10.0))
    assert contents["optimizer"].sum() == 30_000_000


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("lazy", [False, True])
def test_missing_and_broken_files_are_named(tmp_path, lazy):
    with pytest.raises(UserError, match=r"a\.pth: no such checkpoint"):
        read_file(tmp_path / "a.pth", lazy)
    whole = tmp_path / "whole.pth"
    torch.save({"a": torch.ones(1000)}, whole)
    for name, content in {
        "half.pth": whole.read_bytes()[:1500],
        "empty.pth": b"",
        "text.pth": b"<html>404</html>",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: not a checkpoint, or a broken one"):
            read_file(tmp_path / name, lazy)


class Payload:
    def __reduce__(self):
        return (print, ("code of the file ran",))


class Config:
    pass


@pytest.mark.parametrize("intruder", [Payload(), Config()])
def test_code_in_a_file_is_refused_and_named(tmp_path, capsys, intruder):
    path = tmp_path / "bad.pth"
    torch.save({"meta": intruder, "state_dict": {"a": torch.ones(1)}}, path)
    with pytest.raises(UserError, match=r"bad\.pth: refused.*(print|Config).*could run code"):
        read_file(path)
    assert "code of the file ran" not in capsys.readouterr().out


def test_a_plain_pickle_with_code_is_refused(tmp_path, capsys):
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match=r"bad\.pkl"):
        read_file(path)
    assert "code of the file ran" not in capsys.readouterr().out


def test_numpy_1_names_are_known(tmp_path):
    """Files of the time of the publication name numpy.core, without the underscore."""
    path = tmp_path / "old.pth"
    torch.save({"meta": {"acc": np.float64(0.5)}, "a": torch.ones(1)}, path)
    renamed = tmp_path / "renamed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(renamed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"numpy._core.multi", b"numpy.core.multi"))
    assert b"numpy.core.multiarray" in renamed.read_bytes()
    assert read_file(renamed)["meta"]["acc"] == 0.5


def test_rng_state_survives_a_file(tmp_path):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    np.random.standard_normal()  # leaves half a Box-Muller pair behind
    torch.save(rng_state(), tmp_path / "rng.pt")

    def draws():
        return random.random(), np.random.standard_normal(3).tolist(), torch.rand(3).tolist()

    first = draws()
    set_rng_state(read_file(tmp_path / "rng.pt"))
    assert draws() == first


def test_last_and_previous(tmp_path):
    assert find_checkpoint(tmp_path) is None
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, {"step": step})
    assert read_file(tmp_path / "last.pt")["step"] == 3
    assert read_file(tmp_path / "previous.pt")["step"] == 2
    assert find_checkpoint(tmp_path) == tmp_path / "last.pt"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(200)))] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lambda p: p.write_bytes(b"")])
def test_a_broken_checkpoint_gives_way_to_the_one_before(tmp_path, caplog, damage):
    for step in (1, 2):
        tensor = torch.arange(200, dtype=torch.uint8)
        save_checkpoint(tmp_path, {"step": step, "tensor": tensor})
    damage(tmp_path / "last.pt")
    assert find_checkpoint(tmp_path) == tmp_path / "previous.pt"
    assert "last.pt is broken" in caplog.text and "going on from" in caplog.text
    # the good one must survive the next save
    save_checkpoint(tmp_path, {"step": 3})
    assert read_file(tmp_path / "previous.pt")["step"] == 1
    assert read_file(tmp_path / "last.pt")["step"] == 3
    assert (tmp_path / "last.pt.broken").exists()


def test_two_broken_checkpoints_are_none(tmp_path, caplog):
    for name in ("last.pt", "previous.pt"):
        (tmp_path / name).write_bytes(b"x")
    assert find_checkpoint(tmp_path) is None
    assert "previous.pt is broken" in caplog.text


def test_a_failed_write_leaves_the_last_one(tmp_path):
    save_checkpoint(tmp_path, {"step": 1})
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_checkpoint(tmp_path, {"step": lambda: None})
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
    assert read_file(tmp_path / "last.pt")["step"] == 1


def test_killed_between_the_renames(tmp_path, caplog):
    save_checkpoint(tmp_path, {"step": 1})
    (tmp_path / "last.pt").rename(tmp_path / "previous.pt")
    assert find_checkpoint(tmp_path) == tmp_path / "previous.pt"
    assert "last.pt is missing or broken" in caplog.text


# --- faults that users' files brought out --------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_a_namespace_in_torchs_format_before_1_6_is_refused_as_in_newer_files(tmp_path, lazy):
    import argparse

    content = {"args": argparse.Namespace(lr=1), "state_dict": {"a": torch.zeros(2)}}
    for new in (True, False):
        path = tmp_path / f"{new}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=new)
        with pytest.raises(UserError, match=r"refused, because it holds .* of argparse\.Names"):
            read_file(path, lazy)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.98])
def test_a_damaged_zip_is_named(tmp_path, place):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {str(k): torch.randn(50) for k in range(20)}}, path)
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    for lazy in (False, True):
        with pytest.raises(UserError, match=r"a\.pth: not a checkpoint, or a broken one"):
            read_file(path, lazy)
    path.write_bytes(content[: start + 1])
    with pytest.raises(UserError, match=r"a\.pth: not a checkpoint, or a broken one"):
        read_file(path)


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_with_one_wrong_bit_are_not_loaded(tmp_path, lazy):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {"a": torch.arange(200, dtype=torch.uint8)}}, path)
    flip_a_bit(path)
    with pytest.raises(UserError, match=r"a\.pth: .*broken one: Bad CRC-32 for file 'a/data/0'"):
        read_file(path, lazy)


def test_a_file_that_was_written_without_checksums_is_read(tmp_path):
    path = tmp_path / "a.pth"
    computed = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, path)
    finally:
        torch.serialization.set_crc32_options(computed)
    assert read_file(path)["a"].tolist() == [1, 1, 1]


def test_a_git_lfs_pointer_is_called_one(tmp_path):
    path = tmp_path / "a.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n")
    with pytest.raises(UserError, match=r"a\.pth: a git-lfs pointer.*git lfs pull"):
        read_file(path)


@pytest.mark.parametrize("content", [b"<html>", b"x" * 100, b"\x80\x02", b""])
def test_no_refusal_passes_on_the_advice_to_load_without_caution(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a checkpoint, or a broken one") as caught:
        read_file(path)
    assert "weights_only" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "model.", "module.", "module._orig_mod.", "model._orig_mod."]
)
def test_prefixes_of_wrappers_are_left_out_and_told(tmp_path, caplog, prefix):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {prefix + n: v for n, v in model.state_dict().items()}}, path)
    report = load_weights(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), path)
    assert report.complete and set(report.loaded) == set(model.state_dict())
    for part in prefix.strip(".").split("."):
        assert f"put '{part}.' before every name; left out" in caplog.text
