"""Tables of a comparison."""

from pellucid.experiments.analysis import METRICS, Analysis, Difference, by_seed
from pellucid.experiments.comparison import SINGLE
from pellucid.experiments.statistics import NOTHING, Estimate, estimate, signed, signed_interval
from pellucid.experiments.verdict import JOINT
from pellucid.metrics import BROKEN_MARK, FIGURES, TASKS
from pellucid.reporting.blocks import Strong, Table
from pellucid.reporting.comparison_courses import cosine_thirds, layers


def figures_table(analysis: Analysis, track: str) -> Table:
    """All figures of every arm on a track, mean over seeds ± half of the 95 % interval's width."""
    by_arm = {arm: by_track.get(track, {}) for arm, by_track in analysis.figures.items()}
    metrics = [metric for metric in METRICS if any(metric in figures for figures in by_arm.values())]
    return Table(
        f"Track “{track}”{measured_on(analysis, track)}: mean over seeds ± half of the 95 % interval (Student’s t)"
        + ("; *: some outputs are not finite" if any(broken == track for _, broken in analysis.broken) else ""),
        ["arm", "seeds", *(FIGURES[metric].heading for metric in metrics)],
        [
            [
                arm + (BROKEN_MARK if (arm, track) in analysis.broken else ""),
                str(len(analysis.results.runs[arm])),
                *(spread(figures.get(metric), FIGURES[metric].spec) for metric in metrics),
            ]
            for arm, figures in by_arm.items()
        ],
    )


def measured_on(analysis: Analysis, track: str) -> str:
    """The evaluated images of a track, as text: `, 10,000 test images of cifar10`."""
    images = analysis.results.measured(track)
    return f", {images['num_images']:,} {images['split']} images of {images['dataset']}" if images else ""


def level_tables(analysis: Analysis, track: str) -> list[Table]:
    """Accuracy and PSNR at each level, or group of levels, of a track that has several."""
    results = analysis.results
    runs = [run for arm in analysis.figures for run in results.runs[arm].values()]
    measured = [run.metrics.get(track, {}) for run in runs]
    levels = list(dict.fromkeys(level for scores in measured for level in scores.get("groups") or scores.get("levels", {})))
    tables = []
    for metric in TASKS.values():
        heading, spec = FIGURES[metric].heading, FIGURES[metric].spec
        rows = []
        for arm, by_track in analysis.figures.items():
            if metric in by_track.get(track, {}):
                by_level = [list(by_seed(results, arm, track, metric, level).values()) for level in levels]
                rows.append([arm, *(spread(estimate(values) if values else None, spec) for values in by_level)])
        if levels and rows:
            tables.append(Table(f"Track “{track}”{measured_on(analysis, track)}, {heading} at each level", ["arm", *levels], rows))
    return tables


def differences_table(analysis: Analysis, track: str) -> Table | None:
    """The differences of all pairs of arms; bold if the interval over seeds excludes 0. `None` without pairs."""
    rows = [
        _difference(f"{arm} − {baseline}", metric, difference)
        for (arm, baseline), by_track in analysis.paired.items()
        for metric, difference in by_track.get(track, {}).items()
    ]
    head = ["difference", "of", "seeds", "mean", "95 % over seeds", "95 % over images"]
    caption = f"Track “{track}”{measured_on(analysis, track)}: differences paired by seed, and by image"
    return Table(caption, head, rows) if rows else None


def cost_table(analysis: Analysis) -> Table:
    """The cost of the networks, also relative to the two single-task networks together and to the training of the joint one.

    Without training times if the runs were not all trained at one commit on one device.
    """
    costs, runs = analysis.costs, [run.provenance for runs in analysis.results.runs.values() for run in runs.values()]
    alike = len({(run.get("device"), run.get("trained_commit")) for run in runs}) == 1
    both = sum(costs[name].macs for name in SINGLE) if costs.keys() >= set(SINGLE) else None
    joint = costs[JOINT].training_seconds if JOINT in costs and alike else None
    head = ["arm", "parameters", "MACs", f"relative to {' + '.join(SINGLE)}", f"training time, relative to {JOINT}", "ms per image"]
    rows = [
        [
            arm,
            f"{cost.parameters:,}",
            scaled(cost.macs),
            f"{cost.macs / both:.2f}" if both else NOTHING,
            f"{cost.training_seconds / joint:.2f}" if joint else NOTHING,
            NOTHING if cost.seconds_per_image is None else f"{1000 * cost.seconds_per_image:.3f}",
        ]
        for arm, cost in costs.items()
    ]
    known = [any(cell != NOTHING for cell in column) for column in zip(*rows, strict=True)]
    together = max((run.get("runs_at_a_time", 1) for run in runs), default=1)
    note = f"; up to {together} runs shared the machine, which affects training times" if joint and together > 1 else ""
    if not alike and JOINT in costs:
        note = "; without training times, since the runs are of several commits or devices"
    return Table(
        f"Cost of each network, and of one forward pass on one image in float32{note}",
        [name for name, shown in zip(head, known, strict=True) if shown],
        [[cell for cell, shown in zip(row, known, strict=True) if shown] for row in rows],
    )


def gradients_table(analysis: Analysis) -> Table | None:
    """The cosine between the gradients of the two tasks, early and late; `None` if it was not recorded."""
    rows = [
        [f"{arm}, {layer}", *(spread(third, ".3f") for third in cosine_thirds(logs, layer))]
        for arm, logs in analysis.results.logs.items()
        for layer in layers(logs)
    ]
    head = ["arm, layer", "first third", "last third"]
    return Table("Cosine between the gradients of the two tasks, mean over seeds", head, rows) if rows else None


def spread(figure: Estimate | None, spec: str) -> str:
    """A mean ± half of its interval's width.

    >>> spread(estimate([1.0, 2.0, 3.0]), ".2f"), spread(estimate([1.0]), ".2f"), spread(None, ".2f")
    ('2.00 ± 2.48', '1.00', '–')
    """
    if figure is None:
        return NOTHING
    half = figure.half_width
    return format(figure.mean, spec) + ("" if half is None else f" ± {half:{spec}}")


def scaled(number: float) -> str:
    """A large number with a unit prefix.

    >>> scaled(37_512_000), scaled(999), scaled(1_250_000_000)
    ('37.5 M', '999', '1.25 G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _difference(pair: str, metric: str, difference: Difference) -> list[str]:
    heading, spec = FIGURES[metric].heading, FIGURES[metric].spec
    over_seeds = difference.over_seeds
    cells = [signed(over_seeds.mean, spec), signed_interval(over_seeds.interval, spec)]
    visible = float(cells[0]) != 0  # two arms that share a network differ by rounding errors
    mean, interval = (Strong(text) for text in cells) if over_seeds.sign and visible else cells
    return [pair, heading, str(len(over_seeds.values)), mean, interval, signed_interval(difference.over_images, spec)]
