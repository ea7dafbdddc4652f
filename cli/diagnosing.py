"""``tevit diagnose`` and ``compare``: why an AP is what it is, and for which videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import RunName, Scored, StoreOption, a_file, refuse_to_overwrite, takes

app = typer.Typer()

MinScore = Annotated[float, typer.Option(help="tracks below have no part in the tracking figures")]
BestPerFrame = Annotated[
    bool,
    typer.Option(
        "--best-per-frame", help="tracking: of masks that overlap, only the best-scored one"
    ),
]
Resamples = Annotated[
    int, typer.Option("--bootstrap", min=0, help="resamples over videos; 0: no intervals")
]


@app.command("diagnose")
@takes(Scored)
def diagnose_results(
    scored: Scored,
    slice_by: Annotated[
        Path | None,
        typer.Option(
            help="CSV of track ids and your own numbers: AP of their low, middle and high"
        ),
    ] = None,
    min_score: MinScore = 0.3,
    best_per_frame: BestPerFrame = False,
    resamples: Resamples = 250,
) -> None:
    """Say why an AP is what it is: tracking figures, AP lost to each kind of error, AP of slices.

    `tevit diagnose heldout.json predictions.json --json diagnosis.json`

    `tevit diagnose train.json runs/A/predictions.json --split runs/A/split.json \\
    --against runs/B/predictions.json`

    `tevit diagnose heldout.json predictions.json --slice-by blur.csv --min-score 0.1`
    """
    from rich.console import Console

    from benchmarks.ap.table import unpredicted, unpredicted_note
    from benchmarks.diagnosis.diagnosis import diagnose
    from benchmarks.diagnosis.examine import examine_results
    from benchmarks.diagnosis.record import diagnosis_record
    from benchmarks.diagnosis.slices import read_slicings, slicings
    from benchmarks.diagnosis.table import print_diagnosis
    from benchmarks.diagnosis.tracking import HardTracks
    from core.data.annotations import read_annotations
    from core.data.split import heldout_part
    from core.files import write_json

    scored.refuse_to_overwrite(slice_by)
    hard, against = HardTracks(min_score, best_per_frame), scored.against
    whole = read_annotations(scored.ground_truth)
    truth = whole if scored.split is None else heldout_part(whole, scored.split)
    chosen = slicings(truth) + (read_slicings(slice_by, truth, whole) if slice_by else [])
    findings = examine_results(truth, scored.results, hard)
    other = examined = None
    if against is not None:
        examined = examine_results(truth, against, hard)
        other = diagnose(examined, chosen, resamples, seed=scored.seed)
    found = diagnose(findings, chosen, resamples, seed=scored.seed)
    if scored.json_file is not None:
        record = diagnosis_record(findings, found, chosen, str(scored.results))
        if other is not None:
            record |= found.to_dict(other, str(against))
        write_json(scored.json_file, record)
    print_diagnosis(found, Console(), other, str(against))
    if note := unpredicted_note(findings.ap, scored.results, scored.split):
        print(f"Note: {note}")
    if examined and (note := unpredicted(examined.ap)):
        print(f"Note: {against}: {note}")


@app.command("compare")
def compare_runs(
    run: RunName,
    other: RunName,
    out: Annotated[
        Path | None,
        typer.Option(help="the page; none: STORE/reports/compare/RUN_OTHER.html", callback=a_file),
    ] = None,
    clips: Annotated[int, typer.Option(min=0, help="videos that have clips")] = 12,
    min_score: MinScore = 0.3,
    best_per_frame: BestPerFrame = False,
    resamples: Resamples = 250,
    store: StoreOption = None,
) -> None:
    """Write a page that shows for which videos OTHER is better than RUN, or worse, and why.

    `tevit compare 0123abcd 4567cdef`

    `tevit compare runs/runs/0123abcd runs/runs/4567cdef --clips 30 --out stqi.html`
    """
    from benchmarks.diagnosis.tracking import HardTracks
    from core.files import check_writable, write_atomic
    from launch.records.store import Store
    from reports.compare.links import page_of
    from reports.compare.page import make_comparison
    from reports.compare.read import read_comparison

    where = Store.default(store)
    runs = where.find_run(run), where.find_run(other)
    path = out or page_of(where, *runs)
    check_writable(path)
    refuse_to_overwrite(path, *(run.predictions for run in runs))
    hard = HardTracks(min_score, best_per_frame)
    comparison = read_comparison(*runs, resamples, hard)
    write_atomic(path, make_comparison(comparison, clips))
    for note in comparison.notes():
        print(f"Note: {note}")
    print(path)
