"""The label of images of unknown class; separate from `batch.py`, so that reading data does not import torch."""

UNLABELLED = -1
"""Label of an image of unknown class; such images count for the restoration only."""
