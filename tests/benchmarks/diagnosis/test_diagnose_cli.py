"""``tevit diagnose`` as a user meets it."""

import gzip
import json

import pytest
from typer.testing import CliRunner

import cli
from benchmarks.diagnosis.errors import KINDS
from benchmarks.diagnosis.slices import TAKEN
from benchmarks.diagnosis.tracking import TRACKING_FIGURES
from tests.benchmarks.ap.ap_cases import evaluate, random_case


@pytest.fixture
def files(tmp_path):
    ground_truth, results = random_case(7, videos=6, predictions=12)
    (tmp_path / "gt.json").write_text(json.dumps(ground_truth))
    (tmp_path / "a.json").write_text(json.dumps(results))
    (tmp_path / "b.json").write_text(json.dumps(results[::2]))
    return tmp_path


def run(*arguments):
    command = ["diagnose", *map(str, arguments)]
    return CliRunner().invoke(cli.app, command, terminal_width=200, env={"COLUMNS": "200"})


def rows(output):
    lines = [line for line in output.splitlines() if line.startswith("│")]
    cells = [tuple(cell.strip() for cell in line.strip("│").split("│")) for line in lines]
    return {cell[0]: cell[1:] for cell in cells}


def test_every_block_is_printed_and_recorded(files):
    done = run(files / "gt.json", files / "a.json", "--bootstrap", 20, "--json", files / "d.json")
    assert done.exit_code == 0, done.output
    record = json.loads((files / "d.json").read_text())
    assert record["AP"]["figures"] == evaluate(files / "gt.json", files / "a.json").figures
    assert set(record) <= set(TAKEN)
    assert list(record["tracking"]["figures"]) == list(TRACKING_FIGURES)
    assert list(record["errors"]["figures"]) == list(KINDS)
    assert record["protocol"]["tracking"] == {"min_score": 0.3, "best_per_frame": False}
    assert record["protocol"]["slices"]["occlusion"]["bounds"] == [0.25, 0.5]
    assert record["per_class"]["class 1"].keys() >= {"AP", "HOTA", "lost to mask"}
    assert record["errors"]["bootstrap"]["resamples"] == 20
    shown = rows(done.output)
    for name in KINDS:
        loss = record["errors"]["figures"][name]
        interval = record["errors"]["bootstrap"][name]
        ends = f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}"
        assert shown[name][1:] == (f"{100 * loss:.2f}", ends)
    assert shown["IDSW"][1] == f"{record['tracking']['figures']['IDSW']:.0f}"
    assert {"AP short", "AR fast", "AP heavy", "AP many"} <= shown.keys()
    assert "AP lost to" in done.output


def test_without_resamples_there_are_no_intervals(files):
    done = run(files / "gt.json", files / "a.json", "--bootstrap", 0)
    assert done.exit_code == 0
    assert "interval" not in done.output
    assert len(rows(done.output)["HOTA"]) == 2


def test_differences_come_with_paired_intervals(files):
    out = files / "d.json"
    more = ("--against", files / "b.json", "--bootstrap", 20, "--json", out)
    done = run(files / "gt.json", files / "a.json", *more)
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    for name in ("AP", "tracking", "errors", "length"):
        block = record[name]
        assert block["against"]["results"] == str(files / "b.json")
        assert block["against"]["figures"].keys() == block["figures"].keys()
    shown = rows(done.output)
    gain = record["AP"]["figures"]["AP"] - record["AP"]["against"]["figures"]["AP"]
    change = record["AP"]["against"]["difference"]["AP"]
    assert shown["AP"][4:] == (
        f"{100 * gain:+.2f}",
        f"{100 * change['low']:+.2f} to {100 * change['high']:+.2f}",
    )
    assert f"Differences are to {files / 'b.json'}" in done.output


def test_results_against_themselves_differ_by_nothing(files):
    done = run(files / "gt.json", files / "a.json", "--against", files / "a.json", "--bootstrap", 5)
    shown = rows(done.output)
    assert {shown[name][4] for name in ("AP", "HOTA", *KINDS)} == {"+0.00"}
    assert shown["IDSW"][4] == "+0"


def test_the_least_score_of_tracks_can_be_set(files):
    out = files / "d.json"
    figures = []
    for more in ((), ("--min-score", 0.8), ("--min-score", 0, "--best-per-frame")):
        assert (
            run(
                files / "gt.json", files / "a.json", "--bootstrap", 0, "--json", out, *more
            ).exit_code
            == 0
        )
        record = json.loads(out.read_text())
        figures.append(record["tracking"]["figures"]["DetA"])
    assert len(set(figures)) == 3
    assert record["protocol"]["tracking"] == {"min_score": 0.0, "best_per_frame": True}


def test_a_file_of_numbers_slices_the_tracks(files):
    truth = json.loads((files / "gt.json").read_text())
    lines = [f"{t['id']},{k}" for k, t in enumerate(truth["annotations"])]
    (files / "blur.csv").write_text("\n".join(["id,blur", *lines]))
    done = run(
        files / "gt.json", files / "a.json", "--slice-by", files / "blur.csv", "--bootstrap", 0
    )
    assert "by blur" in done.output
    assert "AP high" in rows(done.output)


def test_only_the_held_out_videos_of_a_split_are_looked_at(files):
    (files / "split.json").write_text(json.dumps({"train": [3, 6, 9], "heldout": [12, 15, 18]}))
    results = [r for r in json.loads((files / "a.json").read_text()) if r["video_id"] > 9]
    (files / "a.json").write_text(json.dumps(results))
    out = files / "d.json"
    done = run(
        files / "gt.json",
        files / "a.json",
        "--split",
        files / "split.json",
        "--json",
        out,
        "--bootstrap",
        0,
    )
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["protocol"]["videos"] == 3


@pytest.mark.parametrize("command", ["ap", "diagnose"])
def test_videos_without_predictions_are_told(files, command):
    def told(*more):
        arguments = [command, files / "gt.json", files / "few.json", "--bootstrap", 0, *more]
        done = CliRunner().invoke(cli.app, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return [line for line in done.output.splitlines() if line.startswith("Note: ")]

    results = json.loads((files / "a.json").read_text())
    of_one = [r for r in results if r["video_id"] == results[0]["video_id"]]
    (files / "few.json").write_text(json.dumps(of_one))
    (note,) = told()
    assert "5 of 6 videos have no prediction" in note
    assert note.endswith("name it: --split")
    split = files / "split.json"
    video = of_one[0]["video_id"]
    split.write_text(json.dumps({"train": [v for v in (3, 6) if v != video], "heldout": [video]}))
    assert told()[0].endswith(f"--split {split}")
    assert not told("--split", split)
    (files / "few.json").write_text(json.dumps(results))
    assert not told()
    (files / "none.json").write_text("[]")
    against = ("--against", files / "none.json", "--bootstrap", 5)
    (note,) = told(*against)
    assert note.endswith("none.json: 6 of 6 videos have no prediction: all of theirs is missed.")


@pytest.fixture
def tevit(monkeypatch, capsys):
    def run_main(*arguments):
        monkeypatch.setattr("sys.argv", ["tevit", "diagnose", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr().err

    return run_main


def test_bad_input_is_one_message(files, tevit):
    code, message = tevit(files / "gt.json", files / "no.json")
    assert (code, message) == (2, f"tevit: {files / 'no.json'}: no such file\n")
    results = json.loads((files / "a.json").read_text())
    results[4]["segmentations"][0] = {"size": [1, 1], "counts": "1"}
    (files / "bad.json").write_text(json.dumps(results))
    out = files / "d.json"
    code, message = tevit(
        files / "gt.json", files / "a.json", "--against", files / "bad.json", "--json", out
    )
    assert code == 2
    assert "bad.json: results that do not fit" in message
    assert "result 4" in message
    assert not out.exists()
    code, message = tevit(files / "gt.json", files / "a.json", "--slice-by", files / "no.csv")
    assert (code, "no.csv: cannot be read" in message) == (2, True)
    (files / "packed.json").write_bytes(gzip.compress((files / "a.json").read_bytes()))
    code, message = tevit(files / "gt.json", files / "packed.json")
    assert message == f"tevit: {files / 'packed.json'}: is compressed by gzip; unpack it first\n"
    images = {"images": [], "annotations": [], "categories": []}
    (files / "images.json").write_text(json.dumps(images))
    code, message = tevit(files / "images.json", files / "a.json")
    assert (code, "images.json: has images, and a diagnosis is of tracks" in message) == (2, True)
    for score in ("nan", "30", "-0.1"):
        code, message = tevit(files / "gt.json", files / "a.json", "--min-score", score)
        assert (code, "least score of a track lies between 0 and 1" in message) == (2, True)


def test_a_record_goes_nowhere_but_to_a_file_of_its_own(files, tevit):
    """Before any work: what is read stays as it is."""
    before = (files / "a.json").read_bytes()
    for place in ("a.json", "gt.json"):
        code, message = tevit(files / "gt.json", files / "a.json", "--json", files / place)
        assert (code, "is what is to be read" in message) == (2, True)
    for place in (files, files / "gt.json" / "d.json"):
        code, message = tevit(files / "gt.json", files / "a.json", "--json", place)
        assert code == 2 and message.startswith(f"tevit: {files}")
    assert (files / "a.json").read_bytes() == before
