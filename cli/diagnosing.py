"""``tevit diagnose``: why an AP is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("diagnose")
def diagnose_results(
    ground_truth: Annotated[Path, typer.Argument(help="annotations in YouTube-VIS format")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    against: Annotated[
        Path | None,
        typer.Option(help="other predictions: print the differences with their intervals"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the record to this file")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="recorded split: score its held-out videos (a run folder's split.json)"),
    ] = None,
    slice_by: Annotated[
        Path | None,
        typer.Option(
            help="CSV of track ids and your own numbers: AP of their low, middle and high"
        ),
    ] = None,
    min_score: Annotated[
        float, typer.Option(help="tracks below have no part in the tracking figures")
    ] = 0.3,
    best_per_frame: Annotated[
        bool,
        typer.Option(
            "--best-per-frame", help="tracking: of masks that overlap, only the best-scored one"
        ),
    ] = False,
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="resamples over videos; 0: no intervals")
    ] = 250,
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 0,
) -> None:
    """Say why an AP is what it is: tracking figures, AP lost to each kind of error, AP of slices.

    `tevit diagnose heldout.json predictions.json --json diagnosis.json`

    `tevit diagnose train.json runs/A/predictions.json --split runs/A/split.json \\
    --against runs/B/predictions.json`

    `tevit diagnose heldout.json predictions.json --slice-by blur.csv --min-score 0.1`
    """
    from rich.console import Console

    from benchmarks.diagnosis.diagnosis import diagnose
    from benchmarks.diagnosis.examine import examine
    from benchmarks.diagnosis.record import diagnosis_record
    from benchmarks.diagnosis.slices import read_slicings, slicings
    from benchmarks.diagnosis.table import print_diagnosis
    from benchmarks.diagnosis.tracking import HardTracks
    from core.data.annotations import read_annotations
    from core.data.split import heldout_part
    from core.files import write_json

    hard = HardTracks(min_score, best_per_frame)
    truth = read_annotations(ground_truth)
    if split is not None:
        truth = heldout_part(truth, split)
    chosen = slicings(truth) + (read_slicings(slice_by, truth) if slice_by else [])
    findings = examine(truth, results, hard)
    other = None
    if against is not None:
        other = diagnose(examine(truth, against, hard), chosen, resamples, seed=seed)
    found = diagnose(findings, chosen, resamples, seed=seed)
    if json_file is not None:
        record = diagnosis_record(findings, found, chosen, str(results))
        if other is not None:
            record |= found.to_dict(other, str(against))
        write_json(json_file, record)
    print_diagnosis(found, Console(), other, str(against))
