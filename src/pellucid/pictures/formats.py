"""Tables of picture and video formats: which are read, which are written, and which keep their format."""

from typing import Any

MAX_PIXELS = 256_000_000
"""Pixels of the largest picture that is read unless another limit is asked for: 16,000 x 16,000, 768 MB once decoded."""

# Pillow's name -> endings. Not all that Pillow knows: some of its readers run other programs, such as Ghostscript. DICOM is pydicom's.
READ = {
    "PNG":      (".png",),
    "JPEG":     (".jpg", ".jpeg"),
    "WEBP":     (".webp",),
    "TIFF":     (".tif", ".tiff"),
    "BMP":      (".bmp",),
    "GIF":      (".gif",),
    "PPM":      (".ppm", ".pgm", ".pbm"),
    "JPEG2000": (".jp2", ".j2k"),
    "AVIF":     (".avif",),
    "DICOM":    (".dcm",),
}  # fmt: skip
ENDINGS = frozenset(ending for endings in READ.values() for ending in endings)

DICOM_ENDINGS = ("", ".dicom", ".ima", ".dic")
"""Endings, beside numbers, of files that may be DICOM, to be looked into: archives name them by their identifiers."""

UNREAD = {
    ".heic": "HEIC", ".heif": "HEIF", ".jxl": "JPEG XL", ".dng": "a raw photograph", ".cr2": "a raw photograph",
    ".cr3":  "a raw photograph", ".nef": "a raw photograph", ".arw": "a raw photograph", ".orf": "a raw photograph",
    ".rw2":  "a raw photograph", ".exr": "OpenEXR", ".nii": "NIfTI",
}  # fmt: skip
"""Pictures that are not read: in a folder each is reported, since silence would look like success."""

# ending -> Pillow's name and options; WebP without loss, because it is chosen for its size and would hide what a restoration did
WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "":      ("PNG", {}),
    ".png":  ("PNG", {}),
    ".jpg":  ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif":  ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp":  ("BMP", {}),
    ".ppm":  ("PPM", {}),
    ".pgm":  ("PPM", {}),
}  # fmt: skip

KEPT = frozenset({".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"})
"""Endings of formats without loss: a restored picture keeps them; for every other it is a PNG."""

DEEP = frozenset({"PNG", "TIFF", "PPM"})
"""Written formats that hold 16 bits."""

TRANSPARENT = frozenset({"PNG", "TIFF", "WEBP", "BMP"})
"""Written formats that hold alpha."""

# ending -> OpenCV's code of the codec in which a video of this format is written, and what is said of it
VIDEOS = {
    ".mp4": ("mp4v", "compressed with loss as MPEG-4"),
    ".m4v": ("mp4v", "compressed with loss as MPEG-4"),
    ".mov": ("mp4v", "compressed with loss as MPEG-4"),
    ".avi": ("FFV1", "compressed without loss as FFV1"),
    ".mkv": ("FFV1", "compressed without loss as FFV1"),
}  # fmt: skip
