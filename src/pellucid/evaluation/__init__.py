"""Evaluation of models on benchmark tracks.

`TRACKS` lists the damage that models are measured under, `evaluate.evaluate` measures one, and `classical.CLASSICAL` lists methods that
need no training, to compare with. Only the tracks are imported here, without torch: the command line names them.

    >>> from pellucid.evaluation import TRACKS
    >>> [level.name for level in TRACKS["occlusion"].levels]  # in pixels
    ['side=4', 'side=8', 'side=12', 'side=16']
"""

from pellucid.evaluation.tracks import PAIRS, PROTOCOL_SEED, TRACKS, Level, Track, own_track

__all__ = ["PAIRS", "PROTOCOL_SEED", "TRACKS", "Level", "Track", "own_track"]
