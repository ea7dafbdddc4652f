import re
from pathlib import Path

import pytest

from ablations.table_spec import TableSpec
from reports.tables.build import build_tables
from reports.tables.published import PublishedError, choose, load_published


def test_every_entry_has_a_source_and_only_known_figures():
    for entry in load_published().values():
        assert entry.source
        assert entry.data
        assert entry.figures


@pytest.mark.shared
def test_every_figure_stands_in_the_list_of_public_sources(shared: Path):
    numbers = set(re.findall(r"\d+\.\d+", (shared / "paper_numbers.md").read_text()))
    for entry in load_published().values():
        for key, value in entry.figures.items():
            assert str(value) in numbers, f"{entry.id}: {key}"


def test_what_differs_is_said():
    entry = load_published()["tevit_msgshift_2019"]
    said = entry.differs(["AP", "fps"])
    assert said.startswith("published: ")
    assert "YouTube-VIS-2019 val, average of several runs" in said
    assert "FPS on one V100, offline" in said
    assert "FPS" not in entry.differs(["AP"])


def test_its_source_stands_with_the_protocol(frame):
    spec = TableSpec(published=["tevit_msgshift_2019"])
    protocol = build_tables(frame(), spec, load_published(), name="x")[-1]
    said = {row.labels[0].text: row.labels[1].text for row in protocol.rows}
    assert "mmeendez8" in said["TeViT MsgShifT (published)"]


def test_unknown_entries_are_refused_with_the_valid_ones():
    with pytest.raises(PublishedError, match=r"did you mean vistr_r50.*valid entries: tevit"):
        choose(["vistr_r5"], load_published())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {method: x, data: y, source: z, figures: {mAP: 1.0}}", "unknown figure 'mAP'"),
        ("a: {method: x, data: y, source: '', figures: {AP: 1.0}}", "source"),
        ("a: {method: x, data: y, figures: {AP: 1.0}}", "source"),
        ("a: 3", "entry a"),
        ("- 3", "mapping of entries"),
    ],
)
def test_faults_name_file_and_entry(tmp_path: Path, text, words):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(PublishedError, match=words) as caught:
        load_published(path)
    assert str(path) in str(caught.value)
