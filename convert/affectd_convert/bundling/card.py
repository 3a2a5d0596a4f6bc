"""The model card: a bundle's figures for people, written from the manifest and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from affectd.inference.bundle import Bundle
from affectd_convert.conversion.parity import Row
from affectd_convert.evaluation.cost import Cost
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.quantization import QuantizationReport, layer_table, quantization_table
from affectd_convert.evaluation.report import Report, WindowCalibration
from affectd_convert.evaluation.robustness.table import Robustness

QUANTIZATION = "Quantization"
"""Title of the section."""
WORST_LABELS = 3
"""Labels of lowest recall that are named as failures."""
CONFUSIONS = 2
"""Labels that a failing one is most often taken for."""
INTENDED = {
    "face": "Expressions of upright, roughly frontal faces in front of the device's camera, as one input to fusion.",
    "voice": "The tone of one person who speaks near the device's microphone, as one input to fusion.",
}
LIMITS = {
    "face": "It reads what a face shows, not what a person feels. How its errors differ between ages, skins and "
    "cultures was not measured.",
    "voice": "It reads how speech sounds, not what a person feels. How its errors differ between ages, languages and "
    "dialects was not measured.",
}
_ACTED = "acted: set sentences, spoken by actors; expect less of spontaneous speech and of other languages."
CORPUS_LIMITS = {
    "FER2013": "photographs found on the web, many of them posed, with noisy labels.",
    **dict.fromkeys(("RAVDESS", "SAVEE", "TESS", "CREMA-D"), _ACTED),
}
"""What the public corpora do to a model trained on them, by the name in the manifest."""
_PER_CLIP = " Temperature and ECE are per clip, of the mean of its windows' logits."
PICTURES = {
    "confusion.png": "the confusion matrix",
    "curves.png": "the training",
    "quantization.png": "what int8 loses, and where",
    "reliability.png": "confidence against accuracy",
}
"""What a bundle's training/ may hold, and what it shows."""
MISUSE = (
    "Emotion inference at workplaces and in education is prohibited in the European Union, medical and safety reasons "
    "apart (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)); elsewhere people must be told that they are exposed "
    "to it (Article 50(3)).",
    "No medical, psychological, hiring, insurance, credit, policing or border decision; no lie detection.",
    "No decision about a person at all that rests on it alone: the figures below say how often it is wrong.",
)


def write_card(
    bundle: Bundle,
    report: Report,
    *,
    parity: Sequence[Row],
    parity_on: str,
    remarks: Sequence[str],
    pictures: Sequence[str],
    costs: Mapping[str, Sequence[Cost]],
    quantization: QuantizationReport | None,
    robustness: Robustness | None,
    calibrated_on: str | None,
    commands: Sequence[str],
    note: str,
    protocol: str,
) -> str:
    """Return CARD.md; `report` is of the bundle's variants, in the order of its metrics.

    `parity_on` names the samples of `parity`, `remarks` say what was left out or mended, `pictures` the files in
    training/ of PICTURES, `costs` are by kind of variant, `quantization` is what int8 loses. `calibrated_on` names the
    split that the temperature was fitted on; None where it was fitted on that of the metrics, whose ECE is
    cross-fitted. `commands` made the bundle.
    """
    first = bundle.metrics[0]
    sections = (
        _head(bundle, note),
        _section("Intended use", _intended(bundle)),
        _section("Misuse", [f"- {sentence}" for sentence in MISUSE]),
        _section("Training data", _training_data(bundle)),
        _section("Protocol", protocol.strip().splitlines()) if protocol else [],
        _section("Figures", _figures(bundle, report, calibrated_on)),
        _section(f"Per label ({first.variant}, {first.split})", _per_label(report.first, pictures)),
        _section("Known failures", known_failures(report.first)),
        [] if robustness is None else _section("Robustness", _robustness(robustness)),
        _section("Variants against their float parent", _parity(bundle, parity, parity_on, remarks)),
        [] if quantization is None else _section(QUANTIZATION, _quantization(quantization)),
        _section("Cost", _costs(bundle, costs)),
        _section("Made by", ["```", *commands, "```"]),
    )
    return "\n".join(line for section in sections for line in section)


def with_quantization(card: str, report: QuantizationReport) -> str:
    """Return a CARD.md with its section on quantization made anew, before that on cost."""
    lines = "\n".join(_section(QUANTIZATION, _quantization(report))) + "\n"
    before, _, rest = card.partition(f"## {QUANTIZATION}\n")
    if rest:
        return f"{before}{lines}## {rest.partition(chr(10) + '## ')[2]}"
    before, _, after = card.partition("## Cost\n")
    return f"{before}{lines}## Cost\n{after}"


def write_fold_card(bundle: Bundle, whole: str, *, report: Report, calibrated_on: str | None) -> str:
    """Return CARD.md of one fold in the cross-validation of the bundle `whole`: what it is and what it scored."""
    sections = (
        [
            f"# {bundle.name} {bundle.version}",
            "",
            f"{bundle.maturity[:1].upper()}{bundle.maturity[1:]}. It is here so that its figure in the card of "
            f"[{whole}](../../CARD.md) can be measured again; how it was made, and what must be known of it, is there.",
            "",
        ],
        _section("Figures", _figures(bundle, report, calibrated_on)),
        _section("Training data", _licences(bundle)),
    )
    return "\n".join(line for section in sections for line in section)


def known_failures(evaluation: Evaluation) -> list[str]:
    """Report of the labels with the lowest recalls what they are taken for, a list item each."""
    counts = evaluation.confusion.sum(axis=1)
    present = [label for label in np.argsort(evaluation.recall, kind="stable") if counts[label]]
    lines = []
    for label in present[:WORST_LABELS]:
        missed = evaluation.confusion[label].copy()
        missed[label] = 0
        taken = [other for other in np.argsort(-missed, kind="stable")[:CONFUSIONS] if missed[other]]
        if not taken:
            continue
        others = " and ".join(f"`{evaluation.labels[o]}` ({missed[o] / counts[label]:.0%})" for o in taken)
        lines.append(
            f"- `{evaluation.labels[label]}`: {evaluation.recall[label]:.0%} are found; "
            f"taken most often for {others}. Of what is called so, {evaluation.precision[label]:.0%} is."
        )
    return lines or ["None on this split: every label was found every time."]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _head(bundle: Bundle, note: str) -> list[str]:
    return [
        f"# {bundle.name} {bundle.version}",
        "",
        f"{bundle.maturity}: {bundle.architecture} for the {bundle.task}; {len(bundle.labels)} labels: "
        f"{', '.join(bundle.labels)}. Written by affectd {bundle.affectd}.",
        "",
        *([note, ""] if note else []),
    ]


def _intended(bundle: Bundle) -> list[str]:
    corpora = [f"- {d.name}: {CORPUS_LIMITS[d.name]}" for d in bundle.training_data if d.name in CORPUS_LIMITS]
    return [INTENDED[bundle.task], "", LIMITS[bundle.task], *(["", *corpora] if corpora else [])]


def _licences(bundle: Bundle) -> list[str]:
    return _table(("corpus", "use", "licence"), [(d.name, d.use, d.licence) for d in bundle.training_data])


def _training_data(bundle: Bundle) -> list[str]:
    return [
        *_licences(bundle),
        "",
        "Whoever deploys these weights is bound by these licences; with data of your own, the commands below",
        "make weights that are yours.",
    ]


def _figures(bundle: Bundle, report: Report, calibrated_on: str | None) -> list[str]:
    if calibrated_on is None:
        fitted = "fitted on this split; the ECE is cross-fitted: each part's with a temperature fitted on the others"
    else:
        fitted = f"fitted on {calibrated_on}"
    return [
        f"On the device runtime. ECE (15 bins) is after temperature scaling by {bundle.temperature:.3f}, {fitted}."
        f"{'' if report.windows is None else _PER_CLIP}",
        "",
        *_table(
            ("split", "samples", "variant", "accuracy", "macro F1", "UAR", "ECE"),
            [
                (m.split, m.samples, m.variant, *(f"{v:.4f}" for v in (m.accuracy, m.macro_f1, m.uar, m.ece)))
                for m in bundle.metrics
            ],
        ),
        "",
        f"A perfectly calibrated model with the confidences of {next(iter(report.by_kind))} would show an ECE of "
        f"{report.ece_by_chance:.4f} on so many samples.",
        *([] if report.windows is None else ["", _single_windows(report.windows)]),
        *_measured_by(report.command),
    ]


def _single_windows(windows: WindowCalibration) -> str:
    errors = ", ".join(f"{ece:.4f} ({kind})" for kind, ece in windows.ece.items())
    return (
        "The daemon answers every single window, its logits divided by the same temperature: of these, "
        f"{windows.samples} windows, the ECE is {errors}."
    )


def _measured_by(command: str) -> list[str]:
    return ["", "Measured again by", "", "```", command, "```"] if command else []


def _per_label(evaluation: Evaluation, pictures: Sequence[str]) -> list[str]:
    counts = evaluation.confusion.sum(axis=1).tolist()
    shares = zip(evaluation.labels, evaluation.precision, evaluation.recall, evaluation.f1, counts, strict=True)
    return [
        *_table(
            ("label", "precision", "recall", "F1", "samples"),
            [(label, *(f"{v:.3f}" for v in values), count) for label, *values, count in shares],
        ),
        "",
        "Confusion matrix, true labels down, predicted across:",
        "",
        *_table(
            ("", *evaluation.labels),
            [(label, *row) for label, row in zip(evaluation.labels, evaluation.confusion.tolist(), strict=True)],
        ),
        "",
        f"Pictures in `training/`: {', '.join(f'`{name}` ({PICTURES[name]})' for name in pictures)}.",
    ]


def _robustness(robustness: Robustness) -> list[str]:
    clean = robustness.rows[0]
    return [
        f"{robustness.variant}, {robustness.split}, {robustness.samples} samples; the change against the clean figure "
        "in brackets. The same rows stand in `robustness.json`.",
        "",
        *_table(
            ("condition", "accuracy", "UAR"),
            [
                (clean.condition, f"{clean.accuracy:.4f}", f"{clean.uar:.4f}"),
                *(
                    (
                        row.condition,
                        f"{row.accuracy:.4f} ({row.accuracy - clean.accuracy:+.4f})",
                        f"{row.uar:.4f} ({row.uar - clean.uar:+.4f})",
                    )
                    for row in robustness.rows[1:]
                ),
            ],
        ),
        *_measured_by(robustness.command),
    ]


def _parity(bundle: Bundle, parity: Sequence[Row], parity_on: str, remarks: Sequence[str]) -> list[str]:
    rows = [
        (row.kind, row.runtime, *(f"{v:.4f}" for v in (p.agreement, p.mean_error, p.max_error)), p.samples)
        for row in parity
        for p in (row.parity,)
    ]
    return [
        f"On {parity_on}.",
        "",
        *_table(("variant", "runtime", "agreement", "mean logit error", "max logit error", "samples"), rows),
        "",
        f"`affectd-convert bundle` proved this; `affectd-convert verify models/{bundle.name}` proves it again on the",
        "golden samples in the bundle.",
        *(["", *(f"- {remark}" for remark in remarks)] if remarks else []),
    ]


def _quantization(report: QuantizationReport) -> list[str]:
    head, *rows = quantization_table(report.figures)
    lines = [
        f"{report.against} Of two runtimes' answers the worse; boards are estimated from published throughput.",
        "",
    ]
    lines += _table(head, rows)
    if report.layers:
        head, *rows = layer_table(report.layers)
        lines += [
            "",
            "What each layer of int8 adds to the error, in its output's standard deviations, largest first:",
            "",
        ]
        lines += _table(head, rows)
    return [*lines, "", "Drawn in `training/quantization.png`."]


def _costs(bundle: Bundle, costs: Mapping[str, Sequence[Cost]]) -> list[str]:
    first = next(iter(costs.values()))[0]
    macs = "not counted" if first.macs is None else f"{first.macs:,}"
    return [
        f"Parameters: {first.parameters:,} as deployed. Multiply-accumulates of an inference: {macs}. Milliseconds are "
        f"the median CPU time of one inference on one thread of {first.machine}, preprocessing not included; "
        "`affectd bench` measures the whole path on the box.",
        "",
        *_table(
            ("variant", "bytes", "runtime", "ms"),
            [
                (kind, f"{bundle.variants[kind].bytes:,}", cost.runtime, f"{cost.milliseconds:.2f}")
                for kind, measured in costs.items()
                for cost in measured
            ],
        ),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
