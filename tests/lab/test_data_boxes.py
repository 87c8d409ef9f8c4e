"""`lab.data.detection` on an annotation file made here: scaling, classes, and boxes without area."""

from pathlib import Path

import pytest

from resnetbook.lab import data
from resnetbook.lab.data import detection, volumes

BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def test_boxes_are_scaled_by_side_and_empty_ones_dropped(tmp_path: Path) -> None:
    objects = [
        ("WBC", 10, 20, 30, 60),
        ("RBC", 5, 5, 5, 9),
        ("Platelets", 0, 0, 100, 40),
        ("RBC", 9, 9, 12, 9),
    ]
    path = tmp_path / "a.xml"
    path.write_text("<annotation>" + "".join(BOX.format(*found) for found in objects) + "</annotation>")
    boxes, labels = detection._boxes(path, (0.5, 2.0))
    assert boxes.tolist() == [[5, 40, 15, 120], [0, 0, 50, 80]]
    assert [detection.CLASSES[label] for label in labels] == ["WBC", "Platelets"]
    path.write_text("<annotation></annotation>")
    assert detection._boxes(path, (1, 1))[0].shape == (0, 4)


@pytest.mark.parametrize("call", [lambda: data.bccd(size=(0, 10)), lambda: volumes.adrenalmnist3d(size=32)])
def test_bad_sizes_are_named_before_any_file_is_looked_for(call) -> None:
    with pytest.raises(ValueError, match=r"size=.*expected"):
        call()
