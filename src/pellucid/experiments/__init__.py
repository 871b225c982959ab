"""Comparisons: several arms, trained with several seeds and measured under one protocol."""
