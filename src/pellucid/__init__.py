"""Pellucid: one network that restores a damaged image and says what is in it."""
