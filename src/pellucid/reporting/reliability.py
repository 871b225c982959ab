"""The sections of a report on the reliability of predictions, with charts and tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pellucid.degradations import DEGRADATIONS
from pellucid.evaluation.calibration import CEILING
from pellucid.evaluation.trust_figures import Trust
from pellucid.reporting.blocks import Block, Html, Section, Subheading, Table, Text
from pellucid.reporting.drawing import PLACEHOLDERS, chart, chart_grid, draw_svg
from pellucid.reporting.render import html

MAX_CLASSES = 30
"""Maximum number of classes of a confusion matrix; with more, only the most frequent confusions are listed."""

NUM_CONFUSIONS = 10

FEW = 10
"""Number of images below which a bar of the reliability diagram is pale."""


def trust_section(trust: Trust) -> Section:
    """Calibration, abstention, gate, uncertainty and alarm; parts that were not measured are omitted."""
    figures = trust.to_json()
    content: list[Block] = [
        Text(f"Measured on the first {trust.num_images:,} {trust.split} images of {trust.dataset}, track “{trust.track}”.")
    ]
    if confidence := figures.get("confidence"):
        content += _confidence(confidence, figures["abstention"], trust)
    if gate := figures.get("gate"):
        content += [Subheading("Undamaged pictures"), Text(_gate(gate, "gate" in trust.fitted))]
    if uncertainty := figures.get("uncertainty"):
        content += [Subheading("Uncertainty of restored pictures"), Text(_uncertainty(uncertainty))]
    if alarm := figures.get("alarm"):
        content += [Subheading("The alarm"), Text(_alarm(alarm))]
    if unfamiliar := figures.get("unfamiliar"):
        content += [Subheading("Unlike the training pictures"), Text(_unfamiliar(unfamiliar, trust.split))]
    return Section("Reliability", content)


def strengths_section(strengths: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section | None:
    """Accuracy and PSNR by the strength of each kind of damage; `None` without a kind of several strengths."""
    if not strengths:
        return None
    charts = [_strength_chart(kind, rows) for kind, rows in strengths.items()]
    text = (
        "Top: accuracy on the pictures with this kind of damage, alone or with others. Bottom: mean PSNR of the restored (line) and of the "
        "damaged pictures (dashed)."
    )
    return Section("By strength of the damage", [Text(text), Html(chart_grid(charts))])


def confusion_section(confusion: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Section | None:
    """Confusion matrix and the most frequent confusions; `None` without labels. confusion: see `Trust.confusion`."""
    if not confusion:
        return None
    totals: Counter[str] = Counter()
    for each in confusion:
        totals[each["true"]] += each["num_images"]
    wrong = [each for each in confusion if each["true"] != each["predicted"]]
    rows = [
        [each["true"], each["predicted"], f"{each['num_images']:,}", f"{100 * each['num_images'] / totals[each['true']]:.1f} %"]
        for each in wrong[:NUM_CONFUSIONS]
    ]
    content: list[Block] = []
    if len(classes) <= MAX_CLASSES:
        content += [Text("Rows: true class; columns: predicted class; in % of the row."), Html(_matrix(confusion, totals, classes))]
    if rows:
        content.append(Table("The most frequent confusions", ["true class", "predicted", "images", "of the class"], rows))
    return Section("Confusion matrix", content)


def _confidence(confidence: Mapping[str, Any], abstention: Mapping[str, Any], trust: Trust) -> list[Block]:
    before, after, temperature = (confidence[name] for name in ("ece_before", "ece", "temperature"))
    fitted = trust.fitted if "temperature" in trust.fitted else ""
    if fitted:
        text = f"A temperature of {temperature:.2f} was fitted ({fitted}): the calibration error is {after:.4f}, without it {before:.4f}."
        if trust.split == "validation":
            text += " It was fitted on images of this split; on new images the error is slightly larger."
    else:
        text = (
            f"The calibration error is {after:.4f}. No temperature was fitted, since no labelled images were held out of the training; "
            "--data.validation holds some out."
        )
    rows = [
        [
            f"below {100 * row['abstain_below']:.0f} %",
            f"{100 * row['coverage']:.1f} %",
            "–" if row["accuracy"] is None else f"{row['accuracy']:.1f} %",
        ]
        for row in abstention["thresholds"]
    ]
    return [
        Subheading("Confidence"),
        Text(text),
        Html(chart_grid([_reliability(confidence["bins"]), _coverage(abstention)])),
        Table("Abstention (--abstain-below)", ["abstain", "pictures with a class", "accuracy of these"], rows),
    ]


def _gate(gate: Mapping[str, float], fitted: bool) -> str:
    if not fitted:
        return (
            "This model has no gate, since no threshold improves undamaged pictures at negligible cost for damaged ones. Undamaged "
            f"pictures are restored to {gate['clean_psnr']:.2f} dB; the PSNR of each picture is limited to {CEILING:g} dB."
        )

    def psnr(part: str) -> str:
        without, with_gate = gate[f"{part}_psnr_without_gate"], gate[f"{part}_psnr"]
        return f"{with_gate:.2f} dB with the gate, {without:.2f} dB without"

    text = f"The gate leaves {100 * gate['clean_left']:.1f} % of undamaged pictures unchanged (PSNR: {psnr('clean')})"
    if "damaged_left" in gate:
        text += f", and {100 * gate['damaged_left']:.1f} % of damaged ones ({psnr('damaged')})"
    return f"{text}. The PSNR of each picture is limited to {CEILING:g} dB, above which differences are invisible."


def _uncertainty(uncertainty: Mapping[str, float | None]) -> str:
    def number(name: str) -> str:
        value = uncertainty[name]
        return "not defined" if value is None else f"{value:.2f}"

    return (
        f"The estimated error of each pixel (pellucid predict --uncertainty) has a rank correlation of {number('rank_correlation')} with "
        "the true error within a picture. The sparsification error, when pixels are removed in its order, is "
        f"{number('sparsification_error')}: 0 is the order of the true error, 1 a random order. Between pictures, the mean estimate has a "
        "rank correlation of "
        f"{number('rank_correlation_of_images')} with the mean error."
    )


def _unfamiliar(figures: Mapping[str, float | None], split: str) -> str:
    warned, others = (figures[name] for name in ("accuracy", "accuracy_of_others"))
    rate = f"{100 * (figures['rate'] or 0):.1f} % of these pictures, which are of the kind of the training pictures, get a false warning."
    if split == "validation":
        rate += " The threshold was fitted on images of this split."
    if warned is None or others is None:
        return rate
    return f"{rate} Accuracy with a warning: {warned:.1f} %; without: {others:.1f} %."


def _alarm(alarm: Mapping[str, float | None]) -> str:
    def share(name: str) -> str:
        value = alarm[name]
        return "none" if value is None else f"{100 * value:.1f} %"

    return (
        f"For {share('rate')} of the pictures, the restored one is classified differently (pellucid predict --second-look). Of these, "
        f"{share('precision')} are misclassified, of all pictures {share('error_rate')}. The recall is {share('recall')} of the "
        "misclassified pictures: the absence of an alarm is weak evidence."
    )


def _reliability(bins: Sequence[Mapping[str, float]]) -> Markup:
    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=PLACEHOLDERS["soft"], linewidth=1, linestyle=(0, (4, 3)))
        for each in bins:
            width = each["to"] - each["from"]
            alpha = 0.4 if each["num_images"] >= FEW else 0.12
            axes.bar(each["from"], each["accuracy"] / 100, 0.9 * width, align="edge", color=PLACEHOLDERS["naming"], alpha=alpha)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence")
        _in_percent(axes)

    label = "; ".join(f"confidence {b['confidence']:.2f}, accuracy {b['accuracy']:.0f} %, {b['num_images']} images" for b in bins)
    return chart(
        "Reliability",
        f"accuracy; dashed: equal to the confidence; pale: fewer than {FEW} images",
        draw_svg(plot, label, salt="reliability"),
    )


def _coverage(abstention: Mapping[str, Any]) -> Markup:
    coverage, risk = (abstention["curve"][name] for name in ("coverage", "risk"))

    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(coverage, risk, color=PLACEHOLDERS["naming"], linewidth=1.8, marker="o" if len(risk) == 1 else "")
        axes.set(xlim=(0, 1), xlabel="coverage, most confident pictures first")
        axes.set_ylim(bottom=0)
        _in_percent(axes)

    label = f"Risk against coverage: area {abstention['aurc']:.4f}, {100 * risk[-1]:.1f} % errors at full coverage"
    unit = f"error rate; area {abstention['aurc']:.4f}"
    return chart("Risk against coverage", unit, draw_svg(plot, label, salt="coverage"))


def _in_percent(axes: Any) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _strength_chart(kind: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    strengths = [row["strength"] for row in rows]

    def plot(figure: Figure) -> None:
        names = [name for name in ("accuracy", "psnr") if rows[0].get(name) is not None]
        for index, name in enumerate(names):
            axes = figure.add_subplot(len(names), 1, index + 1)
            colour = PLACEHOLDERS["naming" if name == "accuracy" else "restoring"]
            axes.plot(strengths, [row[name] for row in rows], color=colour, linewidth=1.8, marker="o", markersize=4)
            if name == "psnr":
                axes.plot(strengths, [row["input_psnr"] for row in rows], color=colour, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_ylabel("accuracy %" if name == "accuracy" else "PSNR dB")
            axes.margins(y=0.15)
            if index < len(names) - 1:
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel(DEGRADATIONS[kind].unit)

    text = [
        f"at {row['strength']:.3g}"
        + "".join(f", {row[n]:.1f} {u}" for n, u in (("accuracy", "%"), ("psnr", "dB")) if row.get(n) is not None)
        for row in rows
    ]
    label = f"{kind.replace('_', ' ')}: {'; '.join(text)}"
    num_images = sum(row["num_images"] for row in rows)
    return chart(
        kind.replace("_", " ").capitalize().replace("Jpeg", "JPEG"),
        f"{num_images:,} images",
        draw_svg(plot, label, (5.0, 3.4), salt=f"strength {kind}"),
    )


def _matrix(confusion: Sequence[Mapping[str, Any]], totals: Mapping[str, int], classes: Sequence[str]) -> Markup:
    counts = {(each["true"], each["predicted"]): each["num_images"] for each in confusion}

    def cell(true: str, predicted: str) -> Markup:
        share = 100 * counts.get((true, predicted), 0) / max(1, totals[true])
        return html(
            '<td class="{kind}" style="--share: {share}%">{share_text}</td>',
            kind="right" if true == predicted else "wrong",
            share=f"{share:.0f}",
            share_text=f"{share:.0f}" if round(share) else "",
        )

    head = Markup().join(html('<th scope="col"><span>{name}</span></th>', name=name) for name in classes)
    body = Markup().join(
        html(
            '<tr><th scope="row">{name}</th>{cells}</tr>\n',
            name=true,
            cells=Markup().join(cell(true, predicted) for predicted in classes),
        )
        for true in classes
    )
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="matrix">'
        "<thead><tr><th></th>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n",
        head=head,
        body=body,
    )
