import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from core.data.rle import (
    areas_of,
    boxes_of,
    check_counts,
    compress,
    decode,
    encode,
    run_lengths,
)

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def counted(mask):
    """Uncompressed run lengths, column by column, background first, by a plain loop."""
    counts, current = [0], False
    for pixel in mask.T.reshape(-1):
        if bool(pixel) != current:
            counts.append(0)
            current = not current
        counts[-1] += 1
    return counts


@given(mask=masks)
def test_all_published_forms_give_one_rle(mask):
    height, width = mask.shape
    rle = encode(mask)
    assert run_lengths(rle["counts"]).tolist() == counted(mask)
    assert (decode(rle) == mask).all()
    for counts in (counted(mask), rle["counts"], rle["counts"].encode()):
        assert compress({"size": [height, width], "counts": counts}, height, width) == rle


@given(lengths=st.lists(st.integers(1, 100_000), min_size=1, max_size=30))
def test_long_runs(lengths):
    total = sum(lengths)
    rle = compress({"size": [1, total], "counts": lengths}, 1, total)
    assert run_lengths(rle["counts"]).tolist() == lengths
    check_counts(rle)


def test_polygons_are_merged_and_degenerate_ones_dropped():
    square = [2, 2, 8, 2, 8, 8, 2, 8]
    other = [10, 2, 14, 2, 14, 8, 10, 8]
    rle = compress([square, other, [1, 1, 2, 2]], 12, 20)
    expected = coco.decode(coco.merge(coco.frPyObjects([square, other], 12, 20)))
    assert (decode(rle) == expected).all()
    assert decode(rle).sum() == 6 * 6 + 4 * 6


@pytest.mark.parametrize("entry", [None, [], [[1, 1, 2, 2]]])
def test_nothing_to_draw_is_absence(entry):
    assert compress(entry, 12, 20) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"size": [20, 12], "counts": [240]}, r"size \[20, 12\], but the video has \[12, 20\]"),
        ({"size": [12, 20], "counts": [239]}, "add up to 239"),
        ({"size": [12, 20], "counts": [300, -60]}, "add up to 240, but"),
        ({"size": [12, 20], "counts": 5}, "counts of type int"),
        ({"counts": [240]}, "a mask is null, a list of polygons or"),
        ("text", "a mask is null, a list of polygons or"),
        ([[1, 2, 3, 4, 5]], "a polygon is a list of numbers"),
        ([5], "a polygon is a list of numbers"),
    ],
)
def test_other_forms_are_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        compress(entry, 12, 20)


@pytest.mark.parametrize("damage", ["cut", "longer", "letters", "empty"])
def test_broken_compressed_counts_are_noticed(damage):
    mask = np.zeros((50, 60), bool)
    mask[10:30, 20:40] = True
    rle = encode(mask)
    rle["counts"] = {
        "cut": rle["counts"][:-3],
        "longer": rle["counts"] + "9",
        "letters": "~" * 5,
        "empty": "",
    }[damage]
    with pytest.raises(ValueError, match=r"add up to|not a compressed mask"):
        check_counts(rle)
    with pytest.raises(ValueError, match=r"add up to|not a compressed mask"):
        decode(rle)


@given(mask=masks)
def test_areas_and_boxes(mask):
    [area], [box] = areas_of([encode(mask)]), boxes_of([encode(mask)])
    assert area == mask.sum()
    if area:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y = columns[0], rows[0]
        assert box == (x, y, columns[-1] + 1 - x, rows[-1] + 1 - y)


def test_of_no_masks():
    assert areas_of([]) == []
    assert boxes_of([]) == []
