"""Figures of anomaly scores and maps, on maps whose figures can be told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.anomaly.evaluation import Judged, evaluate_anomalies, find_mask, read_mask
from lookalike.anomaly.samples import folder_samples
from lookalike.anomaly.scoring import Anomaly, boxes_of, promised_rate, quantile_threshold
from lookalike.errors import InvalidArgument, Unanswerable, UnusableImage


def judged(
    score: float, spot: tuple[int, int] | None = None, kind: str | None = None, mask: Path | None = None
) -> Judged:
    found = np.random.default_rng(int(score * 10)).random((56, 56)).astype(np.float32)
    if spot is not None:
        y, x = spot
        found[y : y + 8, x : x + 8] += 10
    return Judged(Anomaly(Path("a.png"), score, 0.5, 3.0, 0.1, {}, found, 5.0, (), False), kind, mask)


def write_mask(path: Path, spot: tuple[int, int], side: int = 100, value: int = 255) -> Path:
    y, x = (part * side // 56 for part in spot)
    pixels = np.zeros((side, side), np.uint8)
    pixels[y : y + side // 7, x : x + side // 7] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_maps_that_show_the_defects_have_figures_near_one(tmp_path: Path) -> None:
    right = write_mask(tmp_path / "right.png", (10, 20))
    found = evaluate_anomalies(
        [
            *(judged(score) for score in (0, 1, 2, 4)),
            *(judged(5 + at, (10, 20), "hole", right) for at in range(4)),
        ]
    )
    assert (found.normal, found.false_alarms, found.defective, found.found) == (4, 1, 4, 4)
    assert found.image_auroc.value == 1
    assert tuple(found.image_auroc.interval) == (1, 1)
    assert found.pixel_auroc is not None
    assert found.pixel_auroc.value > 0.98
    assert found.pro is not None
    assert found.pro.value > 0.95
    assert found.peak_on_defect is not None
    assert found.peak_on_defect.value == 1
    assert found.peak_on_defect.interval.low < 0.6
    (kind,) = found.kinds
    assert (kind.kind, kind.images, kind.anomalous, kind.auroc) == ("hole", 4, 4, 1)


def test_maps_that_show_another_place_have_figures_of_chance(tmp_path: Path) -> None:
    wrong = write_mask(tmp_path / "wrong.png", (40, 20))
    found = evaluate_anomalies(
        [*(judged(score) for score in range(4)), *(judged(at, (10, 20), "hole", wrong) for at in range(4))]
    )
    assert found.image_auroc.value == 0.5
    assert found.image_auroc.interval.low < 0.5 < found.image_auroc.interval.high
    assert found.pixel_auroc is not None
    assert found.pixel_auroc.value < 0.6
    assert found.pro is not None
    assert found.pro.value < 0.3
    assert found.peak_on_defect is not None
    assert found.peak_on_defect.value == 0


def test_pro_counts_small_regions_as_much_as_large_ones(tmp_path: Path) -> None:
    """The map shows the large one of two regions: half of the regions, and most of the pixels."""
    path = write_mask(tmp_path / "two.png", (10, 20))
    pixels = np.asarray(Image.open(path)).copy()
    pixels[80:84, 80:84] = 255
    Image.fromarray(pixels).save(path)
    found = evaluate_anomalies([judged(0), judged(1), judged(5, (10, 20), "hole", path)])
    assert found.pro is not None
    assert found.pro.value == pytest.approx(0.5, abs=0.1)
    assert found.pixel_auroc is not None
    assert found.pixel_auroc.value > 0.9


def test_without_masks_or_one_of_both_kinds() -> None:
    found = evaluate_anomalies([judged(0), judged(1, None, "hole")])
    assert (found.masks, found.pixel_auroc, found.pro, found.peak_on_defect) == (0, None, None, None)
    for only in (judged(0), judged(1, None, "hole")):
        with pytest.raises(Unanswerable, match="both kinds are needed"):
            evaluate_anomalies([only])


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
@pytest.mark.parametrize("value", [255, 1])
def test_masks_of_every_kind_and_size_are_read(tmp_path: Path, mode: str, value: int) -> None:
    path = write_mask(tmp_path / "mask.png", (0, 0), side=70, value=value)
    Image.open(path).point(lambda grey: 255 if grey and mode == "1" else grey).convert(mode).save(path)
    mask = read_mask(path)
    assert mask.shape == (224, 224)
    assert mask[:32, :32].all()
    assert not mask[34:].any()
    assert not mask[:, 34:].any()


def test_a_mask_of_one_pixel_is_not_lost_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    pixels = np.zeros((1000, 1000), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "empty.png")
    assert not read_mask(tmp_path / "empty.png").any()
    pixels[500, 500] = 255
    Image.fromarray(pixels).save(tmp_path / "one.png")
    assert read_mask(tmp_path / "one.png").sum() == 1
    (tmp_path / "none.png").write_text("no image")
    with pytest.raises(UnusableImage, match=r"none\.png"):
        read_mask(tmp_path / "none.png")


def test_masks_are_found_where_data_sets_have_them(tmp_path: Path) -> None:
    image = tmp_path / "test" / "hole" / "001.png"
    assert find_mask(image) is None
    mvtec = write_mask(tmp_path / "ground_truth" / "hole" / "001_mask.png", (0, 0))
    assert find_mask(image) == mvtec
    other = write_mask(tmp_path / "masks" / "001.bmp", (0, 0))
    assert find_mask(image, tmp_path / "masks") == other
    beside = write_mask(tmp_path / "Imgs" / "a.png", (0, 0))
    assert find_mask(tmp_path / "Imgs" / "a.jpg") == beside
    assert find_mask(beside) is None


def test_boxes_lie_around_what_is_above_the_threshold() -> None:
    found = np.zeros((56, 56), np.float32)
    found[0:7, 28:42] = 4
    found[50, 3] = 9
    strongest, larger = boxes_of(found, 3)
    assert strongest[:4] == pytest.approx((3 / 56, 50 / 56, 4 / 56, 51 / 56))
    assert strongest.peak == 9
    assert larger[:4] == pytest.approx((0.5, 0, 0.75, 0.125))
    assert boxes_of(found, 10) == ()
    # What a strong one raises around it is not its box, where it is little beside the peak.
    found[44:, :12] = np.maximum(found[44:, :12], 3.5)
    assert boxes_of(found, 3)[0] == strongest
    found[48, 3] = 4
    assert boxes_of(found, 3)[0][:4] == pytest.approx((3 / 56, 48 / 56, 4 / 56, 51 / 56))


def test_a_threshold_is_exceeded_as_often_as_was_promised() -> None:
    random = np.random.default_rng(0)
    above = [
        (random.standard_normal() > quantile_threshold(random.standard_normal(99, np.float32), 0.1))
        for _ in range(4000)
    ]
    assert np.mean(above) == pytest.approx(0.1, abs=0.02)


def test_few_pictures_promise_no_low_rate() -> None:
    assert promised_rate(500, None) == 0.01
    assert promised_rate(9, None) == pytest.approx(0.1)
    assert promised_rate(9, 0.2) == 0.2
    with pytest.raises(
        InvalidArgument, match=r"9 normal pictures can promise a false-alarm rate of 0\.1 at best"
    ):
        promised_rate(9, 0.05)
    for rate in (0, 1, -1, float("nan")):
        with pytest.raises(InvalidArgument, match="above 0 and below 1"):
            promised_rate(9, rate)


def test_the_order_of_the_images_changes_no_figure(tmp_path: Path) -> None:
    right, wrong = write_mask(tmp_path / "right.png", (10, 20)), write_mask(tmp_path / "wrong.png", (40, 20))
    images = [
        *(judged(score) for score in (0, 1, 5, 4)),
        *(judged(at, (10, 20), "hole", right if at % 2 else wrong) for at in range(4)),
    ]
    assert evaluate_anomalies(images[::-1]) == evaluate_anomalies(images)


def test_masks_among_the_images_are_no_images(tmp_path: Path) -> None:
    for name in (
        *("good/1.png", "good/a_mask.png", "spot/1.png", "spot/1_mask.png"),
        *("spot/2.jpg", "spot/2.png", "spot/3.png", "ground_truth/spot/3_mask.png"),
    ):
        write_mask(tmp_path / name, (3, 3))
    found = folder_samples(tmp_path)
    assert [(each.path.name, each.kind) for each in found] == [
        *[("1.png", None), ("a_mask.png", None)],
        *[("1.png", "spot"), ("2.jpg", "spot"), ("3.png", "spot")],
    ]
    # Where the masks are named, a picture of the name of another is a picture.
    named = folder_samples(tmp_path, masks=tmp_path / "ground_truth")
    assert [each.path.name for each in named] == ["1.png", "a_mask.png", "1.png", "2.jpg", "2.png", "3.png"]
