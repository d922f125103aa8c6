"""The model card: who may use the model for what, and what was measured.

Mitchell et al., "Model cards for model reporting", 2019. Every sentence follows from the
run; the card claims nothing that was not measured.
"""

import re

from linegate_report.page import environment
from linegate_training.report import words
from linegate_training.report.findings import Findings


def render_card(findings: Findings) -> bytes:
    """Return the model card as UTF-8 Markdown; the same in, the same out."""
    env = environment("linegate_training")
    env.autoescape = False  # Markdown, not HTML; names are escaped by the filter below
    env.filters["md"] = escape_markdown
    text = env.get_template("model_card.md.j2").render(
        findings=findings,
        record=findings.record,
        scores=findings.scores,
        split=findings.split,
        words=words,
    )
    return text.encode()


def escape_markdown(text: object) -> str:
    """Keep what stands in a name from being read as Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(str(text).split()))
