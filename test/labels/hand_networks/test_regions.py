import numpy as np
import pytest

from firsthand_training.labels.hand_networks.regions import (
    Picture,
    Region,
    box_of_keypoints,
    inside,
    overlap,
    region_of_box,
    region_of_keypoints,
    suppress,
)

WRIST_AND_THUMB = [[0, 0], [-20, -15], [-35, -30], [-45, -45], [-52, -58]]
FINGERS = [[x, -y] for x in (-18, -2, 12, 25) for y in (50, 75, 92, 106)]
HAND = np.array([*WRIST_AND_THUMB, *FINGERS], np.float64) + np.array([300, 240])  # upright, fingers up, [px]


def spot(x, y, size=(480, 640)):
    """A picture with one soft bright spot."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    light = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    return np.repeat(light[..., None], 3, axis=2).astype(np.uint8)


def middle_of_light(image):
    light = image[..., 0].astype(float)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
@pytest.mark.parametrize("side", [150.0, 224.0, 900.0, 2000.0])
def test_what_is_cut_is_found_again_in_the_picture(angle, side):
    region = Region(310.0, 230.0, side, angle)
    crop = Picture(spot(330, 215)).cut(region, 224)
    np.testing.assert_allclose(region.to_picture(middle_of_light(crop), 224), [330, 215], atol=0.6)


@pytest.mark.parametrize("turn", [0.0, 1.0, -2.0, np.pi])
def test_a_hand_stands_upright_in_its_region(turn):
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    hand = (HAND - 300) @ rotation.T + 300
    region = region_of_keypoints(hand)
    scale = 224 / region.side
    affine = region.crop_to_picture(224)
    crop = (hand - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    assert crop.min() > 0
    assert crop.max() < 223
    assert crop[9, 1] < crop[0, 1]
    assert abs(crop[9, 0] - crop[0, 0]) < 15 * scale


def test_a_box_lies_in_its_region_with_a_margin():
    region = region_of_box(np.array([100.0, 50.0, 180.0, 200.0]))
    assert (region.x, region.y) == (140, 125)
    assert region.side > 150
    box = box_of_keypoints(HAND)
    assert (box[:2] < HAND.min(axis=0)).all()
    assert (box[2:] > HAND.max(axis=0)).all()


def test_overlap_by_hand():
    box = np.array([0.0, 0.0, 10.0, 10.0])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [2, 2, 2, 2]], np.float64)
    np.testing.assert_allclose(overlap(box, others), [1, 1 / 3, 0, 0])


def test_a_small_box_inside_a_large_one_is_all_in_it():
    small, large = np.array([2.0, 2.0, 4.0, 4.0]), np.array([0.0, 0.0, 10.0, 10.0])
    assert inside(small, large) == inside(large, small) == 1
    assert inside(small, large + 3) == pytest.approx(0.25)
    assert inside(small, large + 20) == 0


def test_the_best_of_overlapping_boxes_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float64)
    assert suppress(boxes, np.array([0.5, 0.9, 0.4]), 0.3).tolist() == [1, 2]
    assert suppress(boxes[:0], np.zeros(0), 0.3).tolist() == []
