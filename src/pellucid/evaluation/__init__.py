"""Evaluation of models on benchmark tracks.

`TRACKS` lists the damage under which models are evaluated, `evaluate.evaluate` evaluates one, and `classical.CLASSICAL` lists baselines
without training. Only the tracks are imported here, without torch, for the command line.

    >>> from pellucid.evaluation import TRACKS
    >>> [level.name for level in TRACKS["occlusion"].levels]  # in pixels
    ['side=4', 'side=8', 'side=12', 'side=16']
"""

from pellucid.evaluation.tracks import PAIRS, PROTOCOL_SEED, TRACKS, Level, Track, own_track

__all__ = ["PAIRS", "PROTOCOL_SEED", "TRACKS", "Level", "Track", "own_track"]
