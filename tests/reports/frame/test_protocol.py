import pandas as pd
import pytest

from reports.frame.protocol import (
    common_protocol,
    describe_protocol,
    differs_between,
    mixed_within,
    show_value,
)

CLIPS = {"data.clip_length": {str(n): {"data.clip_length": n} for n in (3, 5)}}


def test_common_protocol_is_what_all_records_agree_on(frame):
    rows = frame(axes=CLIPS, name="clips")
    assert common_protocol(rows, "ap")["split"] == "held-out"
    assert "clip_length" not in common_protocol(rows, "fps")
    assert "seed" not in common_protocol(rows, "ap")


def test_runs_without_a_record_do_not_make_a_protocol_mixed(frame):
    rows = frame(state=lambda axes, seed: "failed" if seed else "done")
    assert differs_between(rows, "ap") == ({}, {})
    assert common_protocol(rows, "ap")["videos"] == 32


def test_what_the_grid_varies_is_no_fault(frame):
    varied, unexplained = differs_between(frame(axes=CLIPS, name="clips"), "fps")
    assert list(varied) == ["clip_length"]
    assert unexplained == {}


def test_another_device_is_unexplained_though_it_follows_an_axis(frame):
    rows = frame(device=lambda axes, seed: "A100" if axes["head"] == "stqi" else "CPU (Xeon)")
    varied, unexplained = differs_between(rows, "fps")
    assert varied == {}
    assert set(unexplained["device"]) == {"A100", "CPU (Xeon)"}
    assert unexplained["device"]["A100"] == ["messenger=off head=stqi", "messenger=on head=stqi"]


def test_seeds_of_a_cell_are_named_by_value(frame):
    rows = frame(split=lambda axes, seed: "val" if seed == 2 else "held-out")
    one = rows[rows["cell"] == rows["cell"].iloc[0]]
    assert mixed_within(one, "ap") == {
        "split": {"held-out": ["seed 0", "seed 1"], "val": ["seed 2"]}
    }


def test_initial_weights_of_each_seed_are_no_other_protocol():
    rows = pd.DataFrame(
        {
            "seed": [0, 1],
            "cell": ["a", "a"],
            "fps.recorded": ["x", "x"],
            "fps.protocol.weights": ["initial, seed 0", "initial, seed 1"],
        }
    )
    assert mixed_within(rows, "fps") == {}


def test_a_missing_field_differs_from_a_present_one():
    rows = pd.DataFrame(
        {
            "seed": [0, 1],
            "cell": ["a", "a"],
            "ap.recorded": ["x", "x"],
            "ap.protocol.split": ["val", None],
        }
    )
    assert mixed_within(rows, "ap") == {"split": {"val": ["seed 0"], "none": ["seed 1"]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (2.0, "2"),
        (0.5, "0.5"),
        ('["a","b"]', "a + b"),
        ('["a', '["a'),
        ("x", "x"),
    ],
)
def test_values_in_words(value, text):
    assert show_value(value) == text


def test_description_of_speed_names_device_and_shape_first_and_loses_nothing(frame):
    text = describe_protocol("fps", common_protocol(frame(), "fps"))
    assert text == "CPU (Xeon, 1 thread), fp32, input 64×96, T=3, batch 1, compile no"


def test_description_leaves_out_details_but_nothing_unknown():
    text = describe_protocol("flops", {"batch": 1, "counted": "a long list", "new_field": 3})
    assert text == "batch 1, new field 3"


def test_predicted_tracks_differ_from_run_to_run():
    rows = pd.DataFrame(
        {"seed": [0, 1], "cell": "a", "ap.recorded": "x", "ap.protocol.tracks": [310, 320]}
    )
    assert mixed_within(rows, "ap") == {}
