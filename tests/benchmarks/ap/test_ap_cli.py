"""``tevit ap`` and ``tevit data export`` as a user meets them."""

import json
import re
import zipfile

import pytest
from typer.testing import CliRunner

import cli
from benchmarks.ap.evaluate import AP_FIGURES
from tests.benchmarks.ap.ap_cases import evaluate, random_case


@pytest.fixture
def files(tmp_path):
    ground_truth, results = random_case(7, videos=6)
    (tmp_path / "gt.json").write_text(json.dumps(ground_truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], terminal_width=200)


def cells(output):
    """Table rows as tuples."""
    rows = [line for line in output.splitlines() if line.startswith("│")]
    return [tuple(cell.strip() for cell in row.strip("│").split("│")) for row in rows]


def shown(value):
    return "-" if value is None else f"{100 * value:.2f}"


def test_figures_and_classes_are_printed(files):
    scored = evaluate(files / "gt.json", files / "results.json")
    done = run("ap", files / "gt.json", files / "results.json")
    assert done.exit_code == 0
    rows = cells(done.output)
    assert [(row[0], row[2]) for row in rows[: len(AP_FIGURES)]] == [
        (name, shown(scored.figures[name])) for name in AP_FIGURES
    ]
    recalls = scored.recall_per_class
    classes = [(n, shown(ap), shown(recalls[n])) for n, ap in scored.per_class.items()]
    assert rows[len(AP_FIGURES) :] == classes
    assert f"6 videos, {scored.instances} annotated instances" in done.output


def test_the_record_is_written(files):
    arguments = (
        "ap",
        files / "gt.json",
        files / "results.json",
        "--json",
        files / "out" / "ap.json",
    )
    assert run(*arguments).exit_code == 0
    record = json.loads((files / "out" / "ap.json").read_text())
    assert record["figures"] == evaluate(files / "gt.json", files / "results.json").figures
    assert record["protocol"]["data"] == str(files / "gt.json")
    assert record["bootstrap"] is None


def test_intervals_are_printed_and_recorded(files):
    out = files / "ap.json"
    arguments = ("--bootstrap", 50, "--seed", 3, "--json", out)
    done = run("ap", files / "gt.json", files / "results.json", *arguments)
    spread = json.loads(out.read_text())["bootstrap"]
    assert (spread["resamples"], spread["seed"]) == (50, 3)
    name, _, _, interval, std = cells(done.output)[0]
    assert name == "AP"
    assert interval == f"{shown(spread['AP']['low'])} to {shown(spread['AP']['high'])}"
    assert std == shown(spread["AP"]["std"])


def test_differences_to_other_results_come_with_intervals(files):
    truth, results = files / "gt.json", json.loads((files / "results.json").read_text())
    fewer = files / "fewer.json"
    fewer.write_text(json.dumps(results[::2]))
    done = run("ap", truth, files / "results.json", "--against", fewer, "--json", files / "ap.json")
    assert done.exit_code == 0
    assert f"difference to {fewer}" in done.output
    first, other = evaluate(truth, files / "results.json"), evaluate(truth, fewer)
    record = json.loads((files / "ap.json").read_text())
    assert record["bootstrap"]["resamples"] == 1000
    assert record["against"]["results"] == str(fewer)
    assert record["against"]["figures"] == other.figures
    rows = {row[0]: row for row in cells(done.output)[-len(AP_FIGURES) :]}
    assert list(rows) == list(AP_FIGURES)
    for name in AP_FIGURES:
        gain = first.figures[name] - other.figures[name]
        interval = record["against"]["difference"][name]
        assert rows[name] == (
            name,
            shown(other.figures[name]),
            f"{100 * gain:+.2f}",
            f"{100 * interval['low']:+.2f} to {100 * interval['high']:+.2f}",
        )


def test_only_the_held_out_videos_of_a_split_are_scored(files):
    truth = json.loads((files / "gt.json").read_text())
    results = json.loads((files / "results.json").read_text())
    split = files / "split.json"
    split.write_text(json.dumps({"train": [3, 6, 9], "heldout": [12, 15, 18]}))
    of_heldout = [entry for entry in results if entry["video_id"] > 9]
    (files / "results.json").write_text(json.dumps(of_heldout))
    arguments = ("--split", split, "--json", files / "ap.json")
    done = run("ap", files / "gt.json", files / "results.json", *arguments)
    assert done.exit_code == 0
    for name in ("videos", "annotations"):
        key = "id" if name == "videos" else "video_id"
        truth[name] = [item for item in truth[name] if item[key] > 9]
    record = json.loads((files / "ap.json").read_text())
    assert record["figures"] == evaluate(truth, of_heldout).figures
    assert record["protocol"]["videos"] == 3
    assert record["protocol"]["split"] == "held out: split.json"


def test_a_split_that_does_not_fit_is_an_error(files, tevit):
    split = files / "split.json"
    split.write_text(json.dumps({"train": [3], "heldout": [6, 100]}))
    paths = (files / "gt.json", files / "results.json", "--split", split)
    code, message = tevit("ap", *paths)
    assert code == 2
    assert f"{files / 'gt.json'}: lacks 1 of the videos to score" in message
    assert "video 100" in message
    split.write_text(json.dumps({"train": [3], "heldout": [6]}))
    code, message = tevit("ap", *paths)
    assert code == 2
    assert re.search(r"unknown video_id \d+; known: 6\n", message)
    split.write_text(json.dumps({"train": [3]}))
    code, message = tevit("ap", *paths)
    assert "split.json: 'heldout' is not a list of one or more video ids" in message


def test_an_absent_figure_has_no_difference(files):
    truth = json.loads((files / "gt.json").read_text())
    for annotation in truth["annotations"]:
        annotation["areas"] = [10] * len(annotation["segmentations"])
    (files / "small.json").write_text(json.dumps(truth))
    paths = (files / "small.json", files / "results.json", "--against", files / "results.json")
    done = run("ap", *paths, "--bootstrap", 20)
    rows = {row[0]: row for row in cells(done.output)[-len(AP_FIGURES) :]}
    assert rows["APl"] == ("APl", "-", "-", "-")
    assert rows["AP"][2:] == ("+0.00", "+0.00 to +0.00")


@pytest.fixture
def tevit(monkeypatch, capsys):
    def run_main(*arguments):
        monkeypatch.setattr("sys.argv", ["tevit", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr().err

    return run_main


def test_faults_end_with_status_2_and_name_files_and_entries(files, tevit):
    results = json.loads((files / "results.json").read_text())
    results[4]["score"] = "high"
    results[5]["video_id"] = 100
    (files / "results.json").write_text(json.dumps(results))
    out = files / "ap.json"
    code, message = tevit("ap", files / "gt.json", files / "results.json", "--json", out)
    assert code == 2
    assert message.startswith(f"tevit: {files / 'results.json'}: results that do not fit")
    assert re.search(r"result 4 \(video \d+\): score 'high'", message)
    assert "result 5 (video 100): unknown video_id 100; known: 3, 6, 9, 12, 15, 18" in message
    assert "Traceback" not in message
    assert not out.exists()


def test_missing_and_broken_files_end_with_status_2(files, tevit):
    assert tevit("ap", files / "no.json", files / "results.json") == (
        2,
        f"tevit: {files / 'no.json'}: no such file\n",
    )
    (files / "results.json").write_text("[{]")
    code, message = tevit("ap", files / "gt.json", files / "results.json")
    assert code == 2
    assert "results.json: not valid JSON at line 1" in message


def test_export_writes_and_names_missing_videos(files):
    results = json.loads((files / "results.json").read_text())
    videos = {entry["video_id"] for entry in results}
    arguments = ("data", "export", files / "gt.json", files / "results.json", files / "out.zip")
    done = run(*arguments, "--allow-missing")
    assert done.exit_code == 0
    assert f"{len(results)} tracks of 6 videos" in done.output.replace("\n", "")
    assert done.output.count("without a track: video") == 6 - len(videos)
    assert zipfile.ZipFile(files / "out.zip").namelist() == ["results.json"]


def test_export_refuses_with_status_2(files, tevit):
    (files / "results.json").write_text("[]")
    code, message = tevit(
        "data", "export", files / "gt.json", files / "results.json", files / "out.zip"
    )
    assert code == 2
    assert "has no track for 6 of 6 videos" in message
    assert not (files / "out.zip").exists()


def test_against_without_resamples_is_refused(files, tevit):
    paths = (files / "gt.json", files / "results.json", "--against", files / "results.json")
    code, message = tevit("ap", *paths, "--bootstrap", 0)
    assert code == 2
    assert "--against needs resamples; leave out --bootstrap 0" in message
