"""docs/architecture.md: its picture shows the house as built, its ways lead through what exists."""

import re

import pytest

from tests.test_house import ROOMS, ROOT, TREES, WINGS, definitions

TEXT = (ROOT / "docs" / "architecture.md").read_text()
WAYS = {
    section.partition("\n")[0]: re.split(r"(?m)^\d+\. ", section)[1:]
    for section in re.split(r"(?m)^## ", TEXT)[1:]
    if section.startswith("The way of")
}


def named(text):
    """What the backticks of a text hold, each with the path that stands before it."""
    path = ROOT
    for name in re.findall(r"`([^`\n]+)`", text):
        if re.fullmatch(r"[\w/]+(\.py|/)", name):
            # a file is named in full, or beside the one before it
            found = [p for p in (ROOT / name, path.parent / name, path / name) if p.exists()]
            path = found[0] if found else ROOT / name
        yield name, path


def test_files_and_functions_that_are_named_exist():
    for part in (TEXT.partition("## The way")[0], *(stop for way in WAYS.values() for stop in way)):
        for name, path in named(part):
            assert path.exists(), name
            if call := re.match(r"(\w+)\(", name):
                assert call[1] in dict(definitions(TREES[path])), f"{path} has no {name}"


def test_there_are_four_ways_of_at_most_ten_stops():
    stops = {way: len(found) for way, found in WAYS.items()}
    assert len(stops) == 4 and all(1 < n <= 10 for n in stops.values()), stops


@pytest.mark.parametrize("room", WINGS)
def test_the_picture_shows_the_wings_in_their_order(room):
    assert " --> ".join(ROOMS) in TEXT
    (chain,) = re.findall(rf"subgraph {room}\n *direction BT\n *(.*)\n", TEXT)
    built = [wing for wing in WINGS[room] if (ROOT / room / wing).is_dir()]
    assert [wing for wing in chain.split(" --> ") if (ROOT / room / wing).is_dir()] == built
