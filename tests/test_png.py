"""PNGs of every kind."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid import pictures
from pellucid.pictures import Picture


@pytest.mark.parametrize("size", [(1, 1), (30, 40), (256, 3), (257, 20), (700, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_opencv_and_pillow_read_the_same_pixels(tmp_path: Path, size: tuple[int, int], dtype: type, grey: bool, alpha: bool) -> None:
    random, top = np.random.default_rng(0), int(np.iinfo(dtype).max) + 1
    pixels = random.integers(0, top, (*size, 1 if grey else 3), dtype).repeat(3 if grey else 1, axis=2)
    picture = Picture(pixels, grey, random.integers(1, top, size, dtype) if alpha else None, dpi=(72, 72))
    pictures.write(tmp_path / "a.png", picture)
    decoded = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    channels = decoded if decoded.ndim == 3 else decoded[:, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(channels[:, :, 2::-1], pixels)
    if picture.alpha is not None:
        np.testing.assert_array_equal(decoded[:, :, 3], picture.alpha)
    np.testing.assert_array_equal(pictures.load(tmp_path / "a.png").pixels, pixels)
