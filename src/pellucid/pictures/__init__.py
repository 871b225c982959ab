"""Picture files: finding, reading and writing them.

`read` returns the pixels: uint8 RGB, upright, on white. `load` returns a `Picture`, which also holds the properties of the file (bit depth,
grey, alpha, colour profile, dpi), so that `write` can write a file of the same kind. No other package handles palettes, orientations or
bit depths.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "grey.png")
    ...     write(path, Picture(np.full((2, 3, 3), 4096, np.uint16), grey=True))
    ...     load(path).pixels.dtype, read(path).shape
    (dtype('uint16'), (2, 3, 3))
"""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pellucid.pictures.decode import decode_picture, load
from pellucid.pictures.encode import encode_png, write
from pellucid.pictures.find import find
from pellucid.pictures.formats import DICOM_ENDINGS, ENDINGS, LOSSLESS, MAX_PIXELS, READ, UNREAD, VIDEOS, WRITTEN
from pellucid.pictures.picture import Picture, Pixels

__all__ = ["DICOM_ENDINGS", "ENDINGS", "LOSSLESS", "MAX_PIXELS", "READ", "UNREAD", "VIDEOS", "WRITTEN"]
__all__ += ["Picture", "Pixels", "decode", "decode_picture", "encode_png", "find", "load", "read", "write"]


def read(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The pixels of the file `path` on a white background: (H, W, 3) uint8, RGB; errors as in `load`."""
    return load(path, max_pixels).on_white()


def decode(stream: IO[bytes], name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The same for a picture in `stream`, which errors call `name`."""
    return decode_picture(stream, name, max_pixels).on_white()
