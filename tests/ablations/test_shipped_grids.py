"""The grids that come with the package: the study that each claims to be, and its toy size."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ablations import Cell, Grid, load_grid, shipped_grids
from ablations.grid import SHIPPED_GRIDS, count_cells
from ablations.grid_file import GridError
from ablations.signature import signature
from ablations.table_spec import parse_specs
from cli import app
from core.config.overrides import override
from core.config.presets import PRESETS, preset
from core.config.schema import Config
from core.model.tevit import build_model

NAMES = [
    "backbones",
    "clip_length",
    "components",
    "heads",
    "messengers",
    "queries",
    "temporal_mixers",
]
SCALES = [None, "tiny"]


@functools.cache
def tiny_cells() -> dict[str, Cell]:
    """Every run of the tiny grids, once."""
    return {
        f"{name}:{cells[0].name}": cells[0]
        for name in NAMES
        for cells in load_grid(name, scale="tiny").runs.values()
    }


def seed_0(grid: Grid) -> list[Cell]:
    return [cell for cell in grid.cells if cell.seed == 0]


def test_all_are_there_and_named_after_their_file() -> None:
    assert shipped_grids() == NAMES
    assert [load_grid(name).name for name in NAMES] == NAMES
    assert load_grid("heads", scale="tiny").name == "heads-tiny"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_each_has_its_question_its_table_and_its_measurements(name: str, scale: str | None) -> None:
    grid = load_grid(name, scale=scale)
    assert len(grid.description) > 80
    assert "Baseline" in grid.description
    assert grid.measure == ("ap", "flops", "fps")
    (table,) = parse_specs(grid.table, str(grid.source))
    assert table.baseline is not None
    assert table.title


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name: str) -> None:
    full, tiny = load_grid(name), load_grid(name, scale="tiny")
    assert {cell.seed for cell in full.cells} == {0, 1, 2}
    # the demo answers its question; the others' toy sizes show that they run
    assert {cell.seed for cell in tiny.cells} == ({0, 1, 2} if name == "components" else {0})
    assert len(seed_0(full)) * 3 == len(full.cells)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", SCALES)
def test_no_cell_repeats_another(name: str, scale: str | None) -> None:
    grid = load_grid(name, scale=scale)
    assert len(grid.runs) == len(grid.cells)


@pytest.mark.parametrize("name", NAMES)
def test_full_size_starts_from_the_published_model(name: str) -> None:
    published = preset("tevit_msgshift", {"seed": 0})
    configs = [cell.config for cell in seed_0(load_grid(name))]
    assert published in configs
    assert all(config.train == published.train for config in configs)


@pytest.mark.parametrize("name", NAMES[1:])
def test_grids_share_the_run_of_the_base(name: str) -> None:
    """The published model (or the tiny one) is a cell of each grid and is run once for all.

    But not of ``backbones``, nor of the toy ``components``: their cells begin with start runs.
    """
    for scale, base in ((None, Config()), ("tiny", preset("tiny"))):
        if (scale, name) != ("tiny", "components"):
            assert signature(base) in load_grid(name, scale=scale).runs


def test_the_demo_is_an_experiment_whose_cells_begin_with_one_start_run() -> None:
    grid = load_grid("components", scale="tiny")
    (start,) = grid.start_cells
    assert all(cell.start == start for cell in grid.cells)
    assert start.config.head.kind == "per_frame" and start.config.messenger.tokens == 0
    chosen_on = preset("tiny").data.synthetic.seed
    assert {cell.config.data.synthetic.seed for cell in grid.all_cells} == {3} != {chosen_on}
    assert {cell.config.data.synthetic.blinking for cell in grid.all_cells} == {1}


def test_components_is_two_by_two() -> None:
    for scale in SCALES:
        corners = {
            (c.config.messenger.tokens > 0, c.config.head.kind): c
            for c in seed_0(load_grid("components", scale=scale))
        }
        assert len(corners) == 4
        neither = corners[False, "per_frame"].config
        both = corners[True, "stqi"].config
        assert neither.messenger.tokens == 0
        assert both.messenger.steps_of_stage(1) == (1, -1, 2, -2)
        assert neither.model_copy(update={"messenger": both.messenger, "head": both.head}) == both


def test_messengers_vary_one_thing_at_a_time() -> None:
    # four groups of shift steps need four tokens
    for scale, base in ((None, Config()), ("tiny", preset("tiny", {"messenger.tokens": 4}))):
        centre = base.messenger
        for cell in seed_0(load_grid("messengers", scale=scale)):
            messenger = cell.config.messenger
            if not messenger.tokens:
                unshifted = override(cell.config, {"messenger.shift": False})
                assert signature(unshifted) == cell.signature, "without tokens nothing is shifted"
                continue
            differing = [
                messenger.tokens != centre.tokens,
                (messenger.shift, messenger.shift_steps) != (centre.shift, centre.shift_steps),
                messenger.stages != centre.stages,
            ]
            # with the shift off the steps stay as they are
            assert sum(differing) <= 1
    tokens = {c.config.messenger.tokens for c in load_grid("messengers").cells}
    assert tokens == {0, 8, 16, 32, 64}


def test_heads() -> None:
    cells = seed_0(load_grid("heads"))
    orders: dict[str, list[str]] = {"random": [], "sorted": []}
    for cell in cells:
        if cell.config.head.stages == 6:
            orders[cell.config.data.clip_order].append(cell.config.head.kind)
    assert orders["random"] == ["per_frame", "stqi", "stqi_unshared", "mean"]
    assert orders["sorted"] == ["per_frame", "stqi", "relative_attention", "gru"]
    stages = [c.config.head.stages for c in cells if c.config.head.kind == "stqi"]
    assert stages == [1, 2, 3, 4, 6, 6]


def test_temporal_mixers() -> None:
    for scale in SCALES:
        cells = seed_0(load_grid("temporal_mixers", scale=scale))
        assert len(cells) == 10
        mixed = {
            (c.config.backbone.temporal, c.config.messenger.tokens > 0, c.config.data.clip_order)
            for c in cells
        }
        kinds = [("messengers", True)] + [
            (kind, False) for kind in ("messengers", "channel_shift", "mean", "attention")
        ]
        assert mixed == {(*kind, order) for kind in kinds for order in ("random", "sorted")}


def test_queries_and_clip_length() -> None:
    queries = [c.config.head.queries for c in seed_0(load_grid("queries"))]
    assert queries == sorted(queries)
    assert {100, 300} <= set(queries)
    lengths = [c.config.data.clip_length for c in seed_0(load_grid("clip_length"))]
    assert lengths == [1, 3, 5, 7, 9]


def test_backbones() -> None:
    cells = seed_0(load_grid("backbones"))
    names = {c.config.backbone.name for c in cells}
    assert names == {"resnet50", "swin_t", "swin_l", "pvt_v2_b0", "pvt_v2_b1", "pvt_v2_b2"}
    resnet = next(c.config for c in cells if c.config.backbone.name == "resnet50")
    assert resnet.backbone == preset("tevit_r50").backbone
    for cell in cells:
        assert cell.start is not None and cell.start.config.backbone == cell.config.backbone
        assert cell.start.config.head.kind == "per_frame"
        assert cell.start.config.messenger.tokens == 0 and cell.start.config.data.clip_length == 1
    assert len(load_grid("backbones").start_cells) == len(names), "one for all seeds"
    swin = next(c.config for c in cells if c.config.backbone.name == "swin_l")
    assert swin.backbone == preset("tevit_swin_l").backbone


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_cells_are_counted_without_their_files(name: str, scale: str | None) -> None:
    assert count_cells(name, scale) == len(load_grid(name, scale=scale).cells)


def test_cells_that_need_a_dataset_are_counted_and_the_list_says_so() -> None:
    with pytest.raises(GridError, match=r"data\.root='coco': no such folder"):
        load_grid("backbones", scale="coco")
    count = count_cells("backbones", "coco")
    assert count == len(load_grid("backbones").cells)
    listed = CliRunner().invoke(app, ["grids"]).output
    assert re.search(rf"^backbones  \({count} cells, coco: {count}, tiny: \d+\)$", listed, re.M)


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        "base: tiny\naxes: {head.kind: [stqi, per_frame]}\nseeds: {first: 3, most: 9}\n"
    )
    assert count_cells(path) == 6, "seeds that may be added later are not counted"
    with pytest.raises(GridError, match="unknown scale big"):
        count_cells(path, "big")
    path.write_text("axes: 3\n")
    with pytest.raises(GridError, match="axes"):
        count_cells(path)


def test_backbones_start_from_images_by_the_preset_of_each(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text("{}")
    roots = {"data.root": str(tmp_path), "start.data.root": str(tmp_path / "instances.json")}
    starts = {
        cell.config.backbone.name: cell.config
        for cell in load_grid("backbones", scale="coco", overrides=roots).start_cells
    }
    presets = [config for n in PRESETS if n.startswith("queryinst") for config in [preset(n)]]
    assert len(starts) == 6
    for config in presets:
        if (start := starts.get(config.backbone.name)) is not None:
            assert start.backbone == config.backbone
            # the recipe is one for all, so what the larger Swin has of its own stays out
            assert override(start, {"data.root": "coco"}) == override(
                config, {"train.clip_norm": 0.1, "head.queries": 100}
            )


@pytest.mark.parametrize("name", tiny_cells())
def test_tiny_cells_are_toys_that_predict(name: str) -> None:
    config = tiny_cells()[name].config
    assert config.data.root == "synthetic"
    assert config.train.steps <= 800
    model = build_model(config).eval()
    assert sum(p.numel() for p in model.parameters()) < 5e6
    with torch.inference_mode():
        found = model.detect(torch.zeros(1, 2, 3, 64, 96))[0]
    assert found.boxes.shape == (2, len(found.scores), 4)


def test_published_paper_sections_are_cited() -> None:
    for name in ("components", "messengers", "heads", "queries", "temporal_mixers"):
        assert re.search(r"section 3\.\d", load_grid(name).description)


def test_the_files_are_shipped_with_the_package() -> None:
    listed = Path(SHIPPED_GRIDS.parents[1] / "setup.cfg").read_text()
    assert re.search(r"^ablations = grids/\*\.yaml$", listed, re.MULTILINE)


def test_the_command_lists_them_with_their_sizes() -> None:
    run = CliRunner().invoke(app, ["grids"])
    assert run.exit_code == 0
    assert "components  (12 cells, tiny: 12)\n    The paper's main ablation" in run.output
    assert all(f"\n{name}  (" in f"\n{run.output}" for name in NAMES)
