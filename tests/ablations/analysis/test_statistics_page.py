"""docs/statistics.md and the docstrings: their examples give what they say."""

import doctest
from pathlib import Path

import pytest

from ablations.analysis import effects, sequential, verdicts

PAGE = Path(__file__).parents[3] / "docs" / "statistics.md"


def test_the_examples_of_the_page_give_what_it_says():
    text = PAGE.read_text().replace("```", "")
    example = doctest.DocTestParser().get_doctest(text, {}, "statistics.md", str(PAGE), 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries > 10
    assert runner.failures == 0


@pytest.mark.parametrize("module", [effects, sequential, verdicts])
def test_the_examples_of_docstrings_give_what_they_say(module):
    assert doctest.testmod(module).failed == 0


def test_the_levels_of_the_looks_are_those_of_the_page():
    levels = sequential.nominal_levels(tuple(range(3, 11)), 0.05)
    row = "| level of the t test, % | " + " | ".join(f"{100 * x:.1f}" for x in levels) + " |"
    assert row in PAGE.read_text()
