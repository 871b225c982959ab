"""The label of images whose class is unknown; apart from `batch.py`, so that reading data needs no torch."""

UNLABELLED = -1
"""The label of an image whose class is not known; it trains and measures the restoration alone."""
