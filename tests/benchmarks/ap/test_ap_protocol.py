"""What travels with an AP."""

import json
from pathlib import Path

import torch

from benchmarks.ap.protocol import ap_protocol
from core.config.overrides import override
from core.data.dataset import VideoDataset
from tests.core.training.runs import small


def test_ap_protocol(tmp_path):
    checkpoint = tmp_path / "last.pt"
    torch.save({"meta": {"step": 7}, "state_dict": {"w": torch.zeros(1)}}, checkpoint)
    dataset = VideoDataset("toy", (), (), {}, Path("toy.json"))
    protocol = ap_protocol(small(), dataset, checkpoint)
    assert protocol["checkpoint"] == "last, step 7" and protocol["data"] == "toy"
    assert protocol["mode"] == "offline" and "stride" not in protocol
    switches = {"inference.mode": "near_online", "data.split_file": "my/split.json"}
    protocol = ap_protocol(override(small(), switches), dataset, checkpoint)
    assert (protocol["clip_length"], protocol["stride"]) == (36, 18)
    assert protocol["split"] == "held out: split.json"
    json.dumps(protocol)
