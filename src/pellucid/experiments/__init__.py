"""Comparisons: arms x seeds, trained and measured under one protocol, and the report of what they found."""
