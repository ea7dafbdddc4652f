"""Profiles, damaged: they work, or one error names the file."""

import pytest
import yaml
from hypothesis import given

from launch.executors.profile import load_profile
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

PROFILE = {
    "gpus": 1,
    "cpus": 8,
    "time": "1-00:00:00",
    "memory": "32G",
    "partition": "gpu",
    "account": "me",
    "array_parallelism": 16,
    "setup": ["module load cuda"],
    "extra": {"exclude": "n1"},
    "rules": [{"when": {"backbone.name": "swin_l"}, "set": {"memory": "64G", "time": "12:00:00"}}],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("profiles") / "mine.yaml"


@fuzzed
@given(tree=edited_trees(PROFILE))
def test_profiles_with_other_values(file, tree):
    file.write_text(yaml.safe_dump(tree))
    with works_or_one_error(file):
        load_profile(file)


@fuzzed
@given(content=edited_bytes(yaml.safe_dump(PROFILE).encode()))
def test_profiles_with_other_bytes(file, content):
    file.write_bytes(content)
    with works_or_one_error(file):
        load_profile(file)


def test_the_sound_profile_is_sound(file):
    file.write_text(yaml.safe_dump(PROFILE))
    assert load_profile(file).cpus == 8
