"""What TrackEval says of results in YouTube-VIS format, by its own reader of such files."""

from __future__ import annotations

import contextlib
import copy
import io
import json

import numpy as np

from core.data.rle import run_lengths


def trackeval_scores(truth, results, folder, min_score):
    """(mean over annotated classes, all masks together, by class name) of TrackEval's figures."""
    from trackeval.datasets import YouTubeVIS
    from trackeval.metrics import CLEAR, HOTA, Identity

    truth, results = copy.deepcopy((truth, [r for r in results if r["score"] >= min_score]))
    write_as_trackeval_reads(truth, results, folder)
    config = {
        "GT_FOLDER": f"{folder}/gt/",
        "TRACKERS_FOLDER": f"{folder}/trackers/",
        "SPLIT_TO_EVAL": "val",
        "PRINT_CONFIG": False,
    }
    quiet = {"PRINT_CONFIG": False}
    metrics = [HOTA(), Identity(quiet), CLEAR(quiet)]
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = YouTubeVIS(config)
        raw = {name: dataset.get_raw_seq_data("ours", name) for name in dataset.seq_list}
        by_class = {}
        for name in dataset.class_list:
            parts = [dataset.get_preprocessed_seq_data(r, name) for r in raw.values()]
            by_class[name] = [
                m.combine_sequences({i: m.eval_sequence(part) for i, part in enumerate(parts)})
                for m in metrics
            ]
    annotated = {
        name: found
        for name, found in by_class.items()
        if (found[0]["HOTA_TP"] + found[0]["HOTA_FN"]).any()
    }
    mean, together = [
        [getattr(m, f"combine_classes_{how}")({n: f[i] for n, f in of.items()})
         for i, m in enumerate(metrics)]
        for how, of in (("class_averaged", annotated), ("det_averaged", by_class))
    ]  # fmt: skip
    return figures(mean), figures(together), {n: figures(f) for n, f in annotated.items()}


def figures(found):
    hota, identity, clear = found
    names = ("HOTA", "DetA", "AssA", "LocA")
    return {
        **{name: float(np.mean(hota[name])) for name in names},
        "IDF1": float(identity["IDF1"]),
        "IDSW": float(clear["IDSW"]),
    }


def write_as_trackeval_reads(truth, results, folder):
    """It takes uncompressed masks of the truth, sizes and areas, and one sequence a folder."""
    for video in truth["videos"]:
        files = video["file_names"]
        video["file_names"] = [f"video{video['id']}/{place}.jpg" for place in range(len(files))]
    shapes = {video["id"]: (video["height"], video["width"]) for video in truth["videos"]}
    for track in truth["annotations"]:
        track["height"], track["width"] = shapes[track["video_id"]]
        track["areas"] = [1] * len(track["segmentations"])
        for mask in track["segmentations"]:
            if mask and isinstance(mask["counts"], str):
                mask["counts"] = run_lengths(mask["counts"]).tolist()
    for kind, content in (
        ("gt/youtube_vis_val", truth),
        ("trackers/youtube_vis_val/ours/data", results),
    ):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "file.json").write_text(json.dumps(content))
