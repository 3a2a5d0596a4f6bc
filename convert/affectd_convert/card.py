"""The model card: a bundle's figures for people, written from the manifest and the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from affectd.inference.bundle import Bundle
from affectd_convert.evaluate import Evaluation
from affectd_convert.verify import Row


def write_card(
    bundle: Bundle,
    evaluation: Evaluation,
    parity: Sequence[Row],
    *,
    calibrated_on: str,
    commands: Sequence[str],
    note: str,
) -> str:
    """Give CARD.md; `evaluation` is that of the first line of the bundle's metrics.

    `calibrated_on` names the split that the temperature was fitted on.
    """
    first = bundle.metrics[0]
    flatters = " too, so it flatters" if calibrated_on == first.split else ""
    return "\n".join(
        [
            f"# {bundle.name} {bundle.version}",
            "",
            f"{bundle.maturity}: {bundle.architecture} for the {bundle.task}; {len(bundle.labels)} labels: "
            f"{', '.join(bundle.labels)}. Written by affectd {bundle.affectd}.",
            *(["", note] if note else []),
            "",
            "## Figures",
            "",
            f"On the device runtime. ECE (15 bins) is after temperature scaling by {bundle.temperature:.3f}, "
            f"fitted on {calibrated_on}{flatters}.",
            "",
            *_table(
                ("split", "samples", "variant", "accuracy", "macro F1", "UAR", "ECE"),
                [
                    (m.split, m.samples, m.variant, *(f"{v:.4f}" for v in (m.accuracy, m.macro_f1, m.uar, m.ece)))
                    for m in bundle.metrics
                ],
            ),
            "",
            f"## Per label ({first.variant}, {first.split})",
            "",
            *_table(
                ("label", "precision", "recall", "F1", "samples"),
                [
                    (label, *(f"{v:.3f}" for v in shares), int(count))
                    for label, *shares, count in zip(
                        evaluation.labels,
                        evaluation.precision,
                        evaluation.recall,
                        evaluation.f1,
                        evaluation.confusion.sum(axis=1),
                        strict=True,
                    )
                ],
            ),
            "",
            "Confusion matrix, true labels down, predicted across:",
            "",
            *_table(
                ("", *evaluation.labels),
                [(label, *row) for label, row in zip(evaluation.labels, evaluation.confusion.tolist(), strict=True)],
            ),
            "",
            "Pictures in `training/`: `confusion.png`, `reliability.png`, and the training curves in `curves.png`.",
            "",
            "## Variants against their float parent, same split",
            "",
            *_table(
                ("variant", "bytes", "runtime", "agreement", "mean logit error", "max logit error"),
                [
                    (
                        row.kind,
                        f"{bundle.variants[row.kind].bytes:,}",
                        row.runtime,
                        f"{row.parity.agreement:.4f}",
                        f"{row.parity.mean_error:.4f}",
                        f"{row.parity.max_error:.4f}",
                    )
                    for row in parity
                ],
            ),
            "",
            "## Training data",
            "",
            *_table(("corpus", "use", "licence"), [(d.name, d.use, d.licence) for d in bundle.training_data]),
            "",
            "Whoever deploys these weights is bound by these licences; with data of your own, the commands below",
            "make weights that are yours.",
            "",
            "## Made by",
            "",
            "```",
            *commands,
            "```",
            "",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
