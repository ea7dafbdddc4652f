"""What a run that resumes keeps of its metric history."""

import json

from core.files import append_line
from core.training.history import truncate_history


def test_later_and_damaged_lines_are_dropped(tmp_path):
    path = tmp_path / "history.jsonl"
    for line in ({"step": 1}, [], {}, {"step": "1"}, {"step": None}, {"step": 2}, {"step": 3}):
        append_line(path, json.dumps(line))
    append_line(path, "{")
    truncate_history(path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]
