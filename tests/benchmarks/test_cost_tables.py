import copy
import io

import pytest
from rich.console import Console

from benchmarks.tables import flops_table, fps_table, spread
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from tests.benchmarks import costs


def text(table):
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return out.getvalue()


FLOPS = {
    "name": "one",
    "protocol": {"width": 640, "height": 384, "clip_length": 5},
    "figures": {"parameters": 161_832_616, "total": 39_405_000_000},
    "by_module": {"backbone": 12_328_000_000, "neck": 12_520_000_000},
    "by_counter": {"fvcore": 39_405_000_000, "torch": 39_404_000_000},
}


def test_flops_with_unit_shape_parts_and_both_counters():
    shown = " ".join(text(flops_table([FLOPS])).split())
    assert "Multiply-adds (G) a frame; FLOPs are twice as many" in shown
    for words in ("640x384, T=5", "161.83", "39.405", "12.328", "by torch", "39.404"):
        assert words in shown


def test_parts_that_another_model_lacks_stay_empty():
    other = {**FLOPS, "name": "two", "by_module": {"rpn_head": 1_000_000_000}}
    lines = text(flops_table([FLOPS, other])).splitlines()
    (line,) = [line for line in lines if "rpn_head" in line]
    assert line.split() == ["rpn_head", "1.000"]


def scope(fps):
    return {"fps": fps, "low": fps - 1, "high": fps + 1, "median_ms": 10.0, "p99_ms": 12.5, "n": 20}


FPS = {
    "name": "one",
    "parameters": 161_832_616,
    "protocol": {
        "device": "CPU (Some CPU, 2 threads)", "device_type": "cpu", "width": 640, "height": 384,
        "clip_length": 5, "batch": 1, "precision": "fp32", "video_width": 1280,
        "video_height": 720,
    },
    "figures": {"fps_model": 50.0, "matmul_share": 0.42},
    "achieved": {"multiply_adds": 39.405e9},
    "scopes": {"model": scope(50.0), "postprocess": scope(40.0), "end_to_end": scope(30.0)},
    "memory": {"allocated": None, "host_peak": 800 * 2**20},
    "ratios": {},
    "environment": {"drift": []},
}  # fmt: skip


def test_a_cpu_says_so():
    shown = " ".join(text(fps_table([FPS])).split())
    assert "CPU (Some CPU, 2 threads)" in shown and "(measured on a CPU)" in shown


def test_a_gpu_is_named_and_its_memory_is_what_was_allocated():
    record = copy.deepcopy(FPS)
    record["protocol"] |= {"device": "NVIDIA H100", "device_type": "cuda"}
    record["memory"]["allocated"] = 123 * 2**20
    shown = text(fps_table([record]))
    assert "NVIDIA H100" in shown and "measured on a CPU" not in shown and "123" in shown


def test_speed_has_its_spread_protocol_and_share():
    shown = " ".join(text(fps_table([FPS])).split())
    for words in ("640x384, T=5, batch 1, fp32", "masks at 1280x720", "50 ±1", "40 ±1", "30 ±1"):
        assert words in shown
    for words in ("39.405", "161.8", "12.5", "800", "42%", "median of 20 calls or more"):
        assert words in shown


def test_the_library_that_multiplies_quickest_is_named():
    record = copy.deepcopy(FPS)
    assert "matmul rate" not in text(fps_table([record])).splitlines()[-1]  # of an old record
    record["achieved"] |= {"matmul_rate": 1.25e11, "matmul_library": "oneDNN"}
    assert "matmul rate: 125 G a second by oneDNN\n" in text(fps_table([record]))
    half = copy.deepcopy(record)
    half["protocol"]["precision"], half["achieved"]["matmul_rate"] = "bf16", 2.5e11
    assert "250 G a second by oneDNN, bf16" in text(fps_table([record, half]))


def test_out_of_memory_is_a_row():
    shown = text(fps_table([FPS, {**FPS, "name": "big", "figures": None, "oom": "OOM at T=36"}]))
    assert "OOM at T=36" in shown


def test_drift_is_under_the_table():
    record = {**FPS, "environment": {"drift": ["GPU clock from 1980 to 1500 MHz"]}}
    assert "DRIFT: GPU clock from 1980 to 1500 MHz" in text(fps_table([record]))
    both = text(fps_table([FPS, {**record, "name": "two"}]))
    assert "DRIFT: two: GPU clock from 1980 to 1500 MHz" in both


def test_ratios_are_against_the_first():
    second = {
        **FPS, "name": "two",
        "ratios": {
            "one": {
                "model": {"ratio": 1.25, "low": 1.2, "high": 1.3},
                "end_to_end": {"ratio": 1.1, "low": 1.08, "high": 1.12},
            }
        },
    }  # fmt: skip
    lines = [line.split() for line in text(fps_table([FPS, second])).splitlines()]
    assert ["times", "the", "first", "1", "1.25", "±0.05"] in lines
    assert ["times", "the", "first", "1", "1.1", "±0.02"] in lines


def test_scopes_that_were_not_measured_claim_nothing():
    first = {**FPS, "scopes": {"model": scope(50.0)}}
    ratios = {"one": {"model": {"ratio": 2.0, "low": None, "high": None}}}
    lines = text(fps_table([first, {**first, "name": "two", "ratios": ratios}])).splitlines()
    assert [line.split()[3:] for line in lines if "times" in line] == [["1", "2"]]
    assert not any("with masks" in line or "files to RLE" in line for line in lines)
    lines = text(fps_table([first, {**FPS, "name": "two", "ratios": ratios}])).splitlines()
    rows = [line.split()[3:] for line in lines if "times" in line]
    assert rows == [["1", "2"], [], []]


@pytest.mark.parametrize("width", [50, 80, 160])
def test_no_figure_is_cut_short_on_a_narrow_terminal(width):
    name = "tevit_r50,head.kind=per_frame,head.classes=80,inference.top_k=100"
    out = io.StringIO()
    Console(file=out, width=width).print(fps_table([{**FPS, "name": name}, FPS]))
    assert "…" not in out.getvalue()
    for figure in ("161.83", "39.405", "50 ±1", "12.5", "42%"):
        assert out.getvalue().count(figure) == 2


@pytest.mark.parametrize("missing", ["scopes", "memory", "share"])
def test_what_was_not_measured_is_blank(missing):
    record = copy.deepcopy(FPS)
    if missing == "scopes":
        record["scopes"] = {"postprocess": scope(40.0)}
    elif missing == "memory":
        record["memory"] = None
    else:
        record["figures"]["matmul_share"] = record["achieved"]["multiply_adds"] = None
    assert "one" in text(fps_table([record]))


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        ((0.932, 0.59, 2.82), "0.932 (0.59 to 2.82)"),  # not 0.932 ±1
        ((10, 9.8, 13), "10 (9.8 to 13)"),
        ((50, 49, 51), "50 ±1"),
        ((43, None, None), "43"),  # not 43 ±0
    ],
)
def test_a_wide_or_uneven_interval_is_shown_from_low_to_high(figure, shown):
    assert spread(*figure) == shown


def test_one_sample_is_said_to_have_no_interval():
    record = copy.deepcopy(FPS)
    for values in record["scopes"].values():
        values |= {"n": 1, "low": None, "high": None, "p99_ms": None}
    shown = " ".join(text(fps_table([record])).split())
    assert "50" in shown
    assert "±" not in shown
    assert "p99 of a call" not in shown
    assert "median of 1 calls or more; no interval, which needs 5 calls, and no p99" in shown


def test_p99_of_few_calls_is_not_shown():
    record = copy.deepcopy(FPS)
    for values in record["scopes"].values():
        values["p99_ms"] = None
    shown = " ".join(text(fps_table([record])).split())
    assert "p99 of a call" not in shown
    assert "95% bootstrap interval; no p99, which needs 459 calls" in shown


def test_products_outside_of_matrix_products_stand_beside_the_count():
    figures = {**FLOPS["figures"], "products": 1_500_000_000}
    lines = text(flops_table([{**FLOPS, "figures": figures}])).splitlines()
    (line,) = [line.split() for line in lines if "products outside" in line]
    assert line == ["products", "outside,", "at", "most", "1.500"]


def test_joules_a_frame_with_idle_power_or_why_there_are_none():
    spec = WorkloadSpec("a", ClipShape(1, 32, 32))
    with_energy, without = costs.fps(spec), costs.fps(spec)
    with_energy["energy"] = {"joules_per_frame": 1.234, "idle_watts": 71.6}
    without |= {"name": "b", "energy": {"why_not": "no counters"}}
    shown = text(fps_table([with_energy, without]))
    assert "joules a frame" in shown and "1.23" in shown and "72" in shown
    assert "energy: not measurable here: no counters" in shown
    assert "joules" not in text(fps_table([without]))


def long_named(precision):
    name = "tevit_msgshift,messenger.tokens=0,head.kind=per_frame"
    return {**FPS, "name": name, "protocol": {**FPS["protocol"], "precision": precision}}


@pytest.mark.parametrize("make", [flops_table, fps_table])
@pytest.mark.parametrize("columns", [2, 3])
def test_long_names_break_between_overrides_and_words_at_80_columns(make, columns):
    record = {**FLOPS, "name": long_named("fp32")["name"]}
    records = [long_named("fp32") if make is fps_table else record] * columns
    out = io.StringIO()
    Console(file=out, width=80).print(make(records))
    for part in ("tevit_msgshift,", "messenger.", "tokens=0,", "head.", "kind=per_frame"):
        assert out.getvalue().count(part) == columns


@pytest.mark.parametrize(
    ("columns", "parts"),
    [(1, ["data.synthetic.size=[72,120],", "train.clips=5"]), (3, ["size=[72,120],", "clips=5"])],
)
def test_a_list_in_a_name_stays_in_one_line(columns, parts):
    name = "queryinst_coco_r50,data.synthetic.size=[72,120],train.clips=5"
    words = text(fps_table([{**FPS, "name": name}] * columns)).split()
    assert [words.count(part) for part in parts] == [columns] * 2


def test_the_title_names_the_precision_only_where_it_is_every_columns():
    assert ", fp32, masks" in text(fps_table([FPS, long_named("fp32")]))
    lines = text(fps_table([FPS, long_named("bf16")])).splitlines()
    assert "batch 1, masks" in lines[0] and "fp32" not in lines[0]
    assert any(line.split() == ["fp32", "bf16"] for line in lines[1:])


NAMES = (
    "tevit_msgshift", "tevit_msgshift,messenger.tokens=0", "tevit_swin_l",
    "tevit_r50,head.kind=per_frame,head.classes=80,inference.top_k=100",
    "mmdet queryinst_r50_fpn_1x_coco", "runs/components-tiny/4f2a9c1be0d7a6f2c9",
    "tevit_r50,head.kind=relative_attention", "tevit_msgshift,inference.precision=bf16",
)  # fmt: skip


@pytest.mark.parametrize("columns", [1, 2, 4, 8])
@pytest.mark.parametrize(("table", "record"), [(fps_table, FPS), (flops_table, FLOPS)])
def test_names_and_figures_of_many_columns_are_whole_at_80_letters(table, record, columns):
    out = io.StringIO()
    records = [{**record, "name": name} for name in NAMES[:columns]]
    Console(file=out, width=80).print(table(records))
    shown = out.getvalue()
    words = set(shown.split())
    assert max(map(len, shown.splitlines())) <= 80 and "…" not in shown
    assert shown.count("161.83") == columns
    parts = ["tevit_msgshift", "tokens=0", "tevit_swin_l", "kind=per_frame,", "classes=80,",
             "top_k=100", "queryinst_r50_fpn_1x_coco", "4f2a9c1be0d7a6f2c9",
             "kind=relative_attention", "precision=bf16"]  # fmt: skip
    named = " ".join(NAMES[:columns])
    for part in parts:
        if part in named.replace("messenger.", "").replace("head.", ""):
            assert any(word.rstrip(",").endswith(part.rstrip(",")) for word in words), part
