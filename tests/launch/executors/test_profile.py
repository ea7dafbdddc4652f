from __future__ import annotations

import pytest
import yaml
from toy_grids import toy_grid

from core import preset
from core.config.yaml_file import YamlError
from core.errors import UserError
from launch.executors.base import Target
from launch.executors.local import Local
from launch.executors.profile import (
    Profile,
    ProfileError,
    Shape,
    load_profile,
    make_profile,
    minutes,
    shipped_profiles,
)
from launch.executors.slurm import Slurm
from launch.executors.slurm_options import slurm_parameters, task_settings
from launch.submit.plan import LaunchRequest, plan_launch


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_valid(name):
    assert load_profile(name).time > 0


def test_the_default_profile_shows_every_field():
    from launch.executors.profile import SHIPPED_PROFILES

    text = (SHIPPED_PROFILES / "default.yaml").read_text()
    for field in Profile.model_fields:
        assert f"{field}:" in text, field


def test_the_commented_fields_of_the_default_profile_are_valid():
    from launch.executors.profile import SHIPPED_PROFILES

    lines = (SHIPPED_PROFILES / "default.yaml").read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("# partition"))
    text = "\n".join(line.removeprefix("# ") for line in lines[start:])
    profile = make_profile({"memory": "32G", **yaml.safe_load(text)})
    assert profile.setup == ("module load cuda", "export TMPDIR=$SLURM_TMPDIR")
    assert profile.report_shape.partition == "cpu"


def test_a_file_is_read_and_its_faults_are_named(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("partition: gpu\ntime: 1-02:30:00\nsetup: [module load cuda]\n")
    profile = load_profile(path)
    assert (profile.partition, profile.time) == ("gpu", 26 * 60 + 30)
    path.write_text("partitoin: gpu\ngpus: -1\n")
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert f"{path}: unknown field partitoin (did you mean partition?); valid fields: " in message
    for field in Profile.model_fields:
        assert field in message
    assert f"{path}: gpus=-1" in message
    path.write_text("[1, 2]")
    with pytest.raises(ProfileError, match="expected fields and values"):
        load_profile(path)
    path.write_text("a: [")
    with pytest.raises(YamlError, match=r"site\.yaml"):
        load_profile(path)


def test_an_unknown_profile_lists_the_shipped_ones():
    with pytest.raises(ProfileError, match=r"cpu, default, four_gpus, or a path to a YAML file"):
        load_profile("nothing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1:30:00", 90), ("0:00:01", 1), ("2-00:00:00", 2880), ("1-12:30", 36 * 60 + 30)],
)
def test_times(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["1:30", "soon", "", "-5", "1h"])
def test_times_that_are_none(text):
    with pytest.raises(ValueError, match="H:MM:SS"):
        minutes(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory": "lots"}, "memory='lots'.*32G"),
        ({"memory": 32}, "memory=32.*32G"),
        ({"time": "1:30"}, "time='1:30'.*H:MM:SS"),
        ({"time": 2, "signal_delay": 61}, "signal_delay=61.*at most 60 s"),
        ({"rules": [{"when": {"head.knd": 1}, "set": {}}]}, r"unknown field head\.knd"),
        ({"rules": [{"when": {}, "set": {"gpu": 1}}]}, "unknown field gpu.*gpus"),
        ({"rules": [{"if": {}, "when": {}, "set": {}}]}, "unknown field if.*when, set"),
        ({"report": {"gpu": 1}}, "unknown field gpu"),
        ({"pack": {"cell": 2}}, "pack: unknown field cell.*; valid fields: cells, side_by_side$"),
        ({"pack": {"side_by_side": 2}}, "profile: pack.cells: is missing$"),
        ({"on_out_of_memory": {"mos": "9G"}}, "on_out_of_memory: unknown field mos.*memory, most$"),
        ({"mail": {"too": "a@b"}}, "mail: unknown field too.*; valid fields: to, when$"),
        ({"rules": [{"when": {}, "set": {"time": 1}}]}, "signal_delay=120"),
    ],
)
def test_faults_name_field_and_choices(values, message):
    with pytest.raises(ProfileError, match=message):
        make_profile(values)


def test_rules_give_some_cells_other_resources():
    rules = [
        {"when": {"backbone.name": ["swin_l", "swin_b"]}, "set": {"gpus": 4}},
        {"when": {"backbone.name": "swin_l", "head.queries": 300}, "set": {"memory": "128G"}},
    ]
    profile = make_profile({"rules": rules, "memory": "32G"})
    large, small = profile.shape(preset("tevit_swin_l")), profile.shape(preset("tiny"))
    assert (large.gpus, large.memory) == (4, "128G")
    assert (small.gpus, small.memory) == (1, "32G")


def test_what_submitit_is_given():
    profile = make_profile(
        {"partition": "gpu", "gpus": 4, "gpu_type": "a100", "nodes": 2, "cpus": 8}
        | {"time": 60, "memory": "64G", "setup": ["module load x"], "extra": {"exclude": "n7"}}
    )
    given = slurm_parameters(profile, profile, "tevit:/store")
    assert given["gpus_per_node"] == "a100:4"
    assert given["ntasks_per_node"] == 4
    assert given["additional_parameters"] == {"requeue": True, "exclude": "n7"}
    assert given["setup"] == ["set -e", "module load x", "set +e"]
    assert "qos" not in given
    assert task_settings(profile, profile) == {"patience": 72.0, "minutes": 60}


def test_submitit_knows_every_parameter():
    from submitit.slurm.slurm import _get_default_parameters

    everything = {"partition": "a", "account": "b", "qos": "c", "constraint": "d", "memory": "1G"}
    profile = make_profile({**everything, "cpus": 1, "setup": ["true"]})
    assert set(slurm_parameters(profile, profile, "")) <= set(_get_default_parameters())


def test_without_gpus_there_is_one_task_and_no_request():
    profile = make_profile({"gpus": 0})
    given = slurm_parameters(profile, profile, "")
    assert given["ntasks_per_node"] == 1
    assert "gpus_per_node" not in given


def test_the_reports_job_needs_no_gpu():
    profile = make_profile({"partition": "gpu", "gpus": 8, "report": {"partition": "cpu"}})
    assert profile.report_shape == Shape(partition="cpu", gpus=0, time=60)


def test_clips_that_cannot_be_shared_out_are_a_fault_before_anything_is_submitted(
    store, fake_slurm, monkeypatch
):
    grid = toy_grid(2)  # four clips a step
    target = Target(Slurm(), make_profile({"gpus": 3}))
    with pytest.raises(UserError, match=r"cell a=x,s0: train.clips=4 .* among 3 processes"):
        plan_launch(LaunchRequest(store, grid, target))
    assert plan_launch(LaunchRequest(store, grid, Target(Slurm(), make_profile({"gpus": 4}))))
    costs = toy_grid(2, measure=("flops",))
    assert plan_launch(LaunchRequest(store, costs, target))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(UserError, match="among 3 processes"):
        plan_launch(LaunchRequest(store, grid, Target(Local(), make_profile({"gpus": 3}))))
