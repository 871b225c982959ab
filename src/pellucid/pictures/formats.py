"""Tables of picture and video formats: which are read, which are written, and which keep their format."""

from typing import Any

MAX_PIXELS = 256_000_000
"""Default limit of the pixels of a picture: 16,000 x 16,000, 768 MB once decoded."""

# Pillow's name -> endings. Not all of Pillow's formats: some of its readers run other programs, such as Ghostscript. DICOM is read by
# pydicom.
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
"""Endings, besides numbers, of files that are checked for DICOM content: archives name them by their identifiers."""

UNREAD = {
    ".heic": "HEIC", ".heif": "HEIF", ".jxl": "JPEG XL", ".dng": "a raw photograph", ".cr2": "a raw photograph",
    ".cr3":  "a raw photograph", ".nef": "a raw photograph", ".arw": "a raw photograph", ".orf": "a raw photograph",
    ".rw2":  "a raw photograph", ".exr": "OpenEXR", ".nii": "NIfTI",
}  # fmt: skip
"""Formats that are not supported; such files in a folder are reported rather than skipped silently."""

# ending -> Pillow's name and options; WebP without loss, because compression artefacts would mask the restoration
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

LOSSLESS = frozenset({".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"})
"""Endings of lossless formats, which restored pictures keep; for all others, the restored picture is a PNG."""

DEEP = frozenset({"PNG", "TIFF", "PPM"})
"""Written formats that hold 16 bits."""

TRANSPARENT = frozenset({"PNG", "TIFF", "WEBP", "BMP"})
"""Written formats that hold alpha."""

# ending -> OpenCV's code of the codec in which a video of this format is written, and the note in its prediction
VIDEOS = {
    ".mp4": ("mp4v", "compressed with loss as MPEG-4"),
    ".m4v": ("mp4v", "compressed with loss as MPEG-4"),
    ".mov": ("mp4v", "compressed with loss as MPEG-4"),
    ".avi": ("FFV1", "compressed without loss as FFV1"),
    ".mkv": ("FFV1", "compressed without loss as FFV1"),
}  # fmt: skip
