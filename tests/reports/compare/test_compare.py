"""Two runs side by side, as ``tevit compare`` writes them."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from invented_runs import SMALL_DATA, invent_predictions, make_store
from typer.testing import CliRunner

import cli
from benchmarks.diagnosis.followed import Followed
from benchmarks.diagnosis.tracking import HardTracks
from core.errors import UserError
from core.inference.draw import color_of
from launch.records.store import Store
from reports.compare import page as page_of_comparison
from reports.compare.page import make_comparison
from reports.compare.read import read_comparison
from reports.compare.strips import strip
from reports.report import make_report


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Runs of which the second exchanges the instances of one video half-way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEVIT_CACHE", str(tmp_path_factory.mktemp("videos")))
        store = make_store(
            tmp_path_factory.mktemp("store"), overrides=SMALL_DATA, seeds=(0, 1), measure=("ap",)
        )
        invent_predictions(store, "components")
        run = second(store)
        results = json.loads(run.predictions.read_text())
        first = results[0]["video_id"]
        one, two = [r["segmentations"] for r in results if r["video_id"] == first][:2]
        one[2:], two[2:] = two[2:], one[2:]
        run.predictions.write_text(json.dumps(results))
        yield store


def first(store):
    return store.run(sorted(store.existing())[0])


def second(store):
    return store.run(sorted(store.existing())[1])


@pytest.fixture(scope="module")
def compared(store):
    return read_comparison(first(store), second(store), 10, HardTracks())


@pytest.fixture(scope="module")
def page(compared):
    return make_comparison(compared, 2)


class Elements(HTMLParser):
    """Names and attributes of a page's elements."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))

    def of(self, name, class_=None):
        wanted = [a for n, a in self.found if n == name]
        return [a for a in wanted if class_ is None or class_ in (a.get("class") or "").split()]


def test_videos_come_by_what_they_gain(compared, page):
    order = compared.by_gain()
    gains = [compared.gain(number) for number in order]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] < 0 and gains[0] == 0
    anchors = [a["id"] for a in Elements(page).of("details", "compared")]
    assert anchors == [f"video-{number}" for number in order]
    links = [a["href"] for a in Elements(page).of("a") if a["href"].startswith("#video-")]
    assert links == [f"#{anchor}" for anchor in anchors]


def test_the_video_whose_tracks_were_exchanged_lost_and_its_strips_say_why(compared, page):
    loser = compared.by_gain()[-1]
    section = page[page.index(f'id="video-{loser}"') :]
    said = re.findall(r"<small>(found[^<]*)</small>", section)
    changed = [text for text in said if "changes 1×" in text]
    assert len(changed) == 2
    assert compared.other.diagnosis.blocks["errors"].figures["identity"] > 0
    assert compared.base.diagnosis.blocks["errors"].figures["identity"] == 0
    colours = [sorted(set(re.findall(r'fill="(#\w+)"', svg))) for svg in section.split("<svg")]
    both = [pair for pair in colours if len(pair) == 2]
    assert len(both) == 2 and both[0] == both[1]


def test_the_telling_videos_have_clips_and_are_open(compared, page):
    elements = Elements(page)
    opened = [a["id"] for a in elements.of("details", "compared") if "open" in a]
    assert len(opened) == 2
    assert f"video-{compared.by_gain()[-1]}" in opened
    assert len(elements.of("div", "strip")) == 2 * 3
    assert f"Clips: 2 of {len(compared.by_gain())} videos" in page


def test_the_page_needs_nothing_else(page):
    elements = Elements(page)
    addresses = [a[key] for _, a in elements.found for key in ("src", "href") if key in a]
    assert all(address.startswith("#") for address in addresses)
    assert "url(http" not in page and "@import" not in page
    assert len(page) < 25e6


def test_classes_and_slices_can_be_chosen(compared, page):
    elements = Elements(page)
    assert [a["data-filter"] for a in elements.of("select")] == ["class", "slice"]
    classes = {str(t.category_id) for t in compared.dataset.tracks}
    asked = {a["value"] for a in elements.of("option")}
    assert classes | {"length-short", "speed-fast", "occlusion-heavy", "instances-many"} <= asked
    rows = [a for a in elements.of("tr") if "data-class" in a]
    assert len(rows) == len(compared.dataset.videos)
    assert {c for row in rows for c in row["data-class"].split("|")} <= classes
    strips = elements.of("dl", "strips")
    assert all(len(a["data-class"].split("|")) == 1 for a in strips)


def test_classes_that_share_a_name_are_chosen_apart(compared):
    """Nor does a bar in a name, which parts those of a row, make two of it."""
    names = dict.fromkeys(compared.dataset.categories, "a|b")
    findings = replace(compared.base.findings, dataset=replace(compared.dataset, categories=names))
    renamed = replace(compared, base=replace(compared.base, findings=findings))
    page = make_comparison(renamed, 0)
    elements = Elements(page)
    values = {str(track.category_id) for track in compared.dataset.tracks}
    assert len(values) > 1
    assert values <= {a["value"] for a in elements.of("option")}
    assert all(f">a|b ({number})</option>" in page for number in values)
    assert {a["data-class"] for a in elements.of("dl", "strips")} <= values


@pytest.mark.slow
def test_a_choice_leaves_the_videos_that_have_it(compared, page, tmp_path):
    """In a browser: a class that one of the tracks has, and the number of rows that stay."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    track = next(t for t in compared.dataset.tracks if not t.crowd)
    name = str(track.category_id)
    asked = f"""<script>
      const choice = document.querySelector('select[data-filter="class"]');
      choice.value = {json.dumps(name)};
      choice.dispatchEvent(new Event("change"));
    </script></body>"""
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", asked))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", profile, "--dump-dom"]
    command = [browser, *flags, file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    wanted = {t.video_id for t in compared.dataset.tracks if t.category_id == track.category_id}
    assert f"<output>{len(wanted)} videos</output>" in done.stdout
    rows = [a for a in Elements(done.stdout).of("tr") if "data-class" in a]
    left = [row for row in rows if "filtered" not in (row.get("class") or "")]
    assert len(left) == len(wanted)
    assert all(name in row["data-class"].split("|") for row in left)


def test_without_clips_the_list_is_whole(compared):
    page = make_comparison(compared, 0)
    elements = Elements(page)
    assert not elements.of("div", "strip")
    assert len(elements.of("details", "compared")) == len(compared.dataset.videos)


def test_clips_stop_before_the_page_is_too_large(compared, monkeypatch):
    monkeypatch.setattr(page_of_comparison, "MOST_BYTES", 1)
    text = make_comparison(compared, 2)
    assert "Further clips would make the page too large." in text
    assert not Elements(text).of("div", "strip")


def test_frames_that_cannot_be_read_cost_the_clips_alone(compared, monkeypatch):
    def fail(*_):
        raise UserError("0001.jpg: no such file")

    monkeypatch.setattr(page_of_comparison, "video_clips", fail)
    text = make_comparison(compared, 2)
    assert "frames cannot be read (0001.jpg: no such file)" in text
    assert Elements(text).of("svg", "track")


def test_the_command_writes_a_page_that_the_grid_links(store, tmp_path):
    names = [first(store).signature, second(store).signature]
    runner = CliRunner()
    more = ["--store", str(store.root), "--clips", "1", "--bootstrap", "5"]
    done = runner.invoke(cli.app, ["compare", *names, *more])
    assert done.exit_code == 0, done.output
    path = store.root / "reports" / "compare" / f"{names[0]}_{names[1]}.html"
    assert done.output.strip().replace("\n", "") == str(path)
    assert path.read_text().startswith("<!doctype html>")
    report = make_report(store, "components", clips=False, plots=False, formats=["md"])
    text = report.page.read_text()
    link = f"../compare/{names[0]}_{names[1]}.html"
    assert f'href="{link}"' in text
    assert (report.folder / link).resolve() == path.resolve()
    assert f"{second(store).name} against {first(store).name}" in text
    elsewhere = tmp_path / "page.html"
    done = runner.invoke(cli.app, ["compare", *names, *more, "--out", str(elsewhere)])
    assert elsewhere.exists()


def test_a_run_that_predicted_nothing_is_compared_and_told(store, tmp_path):
    shutil.copytree(store.root, tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    second(copy).predictions.write_text("[]")
    compared = read_comparison(first(copy), second(copy), 0, HardTracks())
    (note,) = compared.notes()
    assert re.fullmatch(
        rf"{second(copy).name}: (\d+) of \1 videos have no prediction: all of theirs is missed.",
        note,
    )
    assert note in make_comparison(compared, 0)
    names = [first(copy).signature, second(copy).signature]
    more = ["--store", str(copy.root), "--clips", "0", "--bootstrap", "0"]
    done = CliRunner().invoke(cli.app, ["compare", *names, *more])
    assert f"Note: {note}" in done.output


def test_two_runs_of_one_name_are_told_apart(store):
    run = first(store)
    compared = read_comparison(run, run, 0, HardTracks())
    assert compared.base.name == f"{run.name} ({run.signature})"
    assert set(map(compared.gain, compared.by_gain())) == {0}


def test_runs_that_cannot_be_compared_are_refused(store, tmp_path, monkeypatch):
    other = make_store(
        tmp_path / "other", overrides=SMALL_DATA | {"data.split_seed": 5}, measure=("ap",)
    )
    run = first(other)
    with pytest.raises(UserError, match=r"has no predictions\.json yet"):
        read_comparison(first(store), run, 0, HardTracks())
    invent_predictions(other, "components")
    with pytest.raises(
        UserError,
        match=r"different videos: \d+ and \d+ videos, of which one run alone has videos \d",
    ):
        read_comparison(first(store), run, 0, HardTracks())
    done = CliRunner().invoke(cli.app, ["compare", "nosuch", "run", "--store", str(store.root)])
    assert isinstance(done.exception, UserError)
    assert "nosuch: no such run" in str(done.exception)


def test_a_strip_has_a_bar_for_each_stretch_of_frames():
    there = np.array([1, 1, 1, 1, 0, 1], bool)
    followed = Followed(
        tracks=np.array([0, 1]),
        place=np.array([0, 3]),
        found=np.array([[0], [0], [3], [-1], [-1], [3]]),
        iou=np.array([[0.8], [0.8], [0.9], [0.0], [0.0], [0.4]]),
    )
    drawing, said = strip(followed, 0, there)
    assert said == "found in 3 of 5 frames, identity changes 1×"
    paths = {a.get("fill"): a["d"] for a in Elements(drawing).of("path")}
    assert paths[None] == "M0 1v-1H4V1zM5 1v-1H6V1z"
    red, fourth = ("#{:02x}{:02x}{:02x}".format(*color_of(place)) for place in (0, 3))
    assert paths[red] == "M0 1v-0.8H2V1z"
    assert paths[fourth] == "M2 1v-0.9H3V1zM5 1v-0.4H6V1z"


def test_a_track_that_nothing_is_on_has_an_empty_strip():
    nothing = Followed(np.zeros(0, int), np.zeros(0, int), np.full((3, 1), -1), np.zeros((3, 1)))
    drawing, said = strip(nothing, 0, np.ones(3, bool))
    assert said == "found in 0 of 3 frames"
    assert len(Elements(drawing).of("path")) == 1
