"""The words of the page, explained where they stand and once more at its end."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.report.words import escape

TERMS: Mapping[str, str] = {
    "study": "One whole search of a method: its trials, the setting it selects, and that setting's confirmation on "
    "fresh seeds. Studies are what the test compares.",
    "trial": "One run of a search, at one setting of the hyperparameters.",
    "confirmation": "A run of a selected setting on a seed that took no part in the search. Every result is of these.",
    "target": "The value of a metric that a run has to reach; the time to it is what is compared.",
    "miss": "A run that never reached the target. It counts as later than every run that did.",
    "example-gradients": "Gradients of single examples that a run paid for: what a step costs, whatever the method "
    "does with it.",
    "separated": "Whole studies of one method beat those of the other more often than chance allows at the level, "
    "all pairs of the problem counted.",
    "not separated": "These studies cannot tell the two apart. It does not say that they are equal.",
    "equivalent": "The whole interval of the ratio lies inside the margin.",
    "margin": "How large a difference may be to be called none.",
    "ratio": "One method's time or value divided by the other's; below 1 the first is ahead.",
    "interval": "The ratios or differences that the test does not rule out, at the level of the page.",
    "p, adjusted": "How often chance alone would part the studies so far, corrected for the number of pairs.",
    "at its checkpoint": "Read at the step of a run where the metric that selects was best.",
    "library defaults": "The method as its library ships it, without a schedule. A reference line: nothing selects it.",
    "search value": "Measured on a trial of the search, on the seeds that selected; it flatters.",
    "infeasible": "Worse than the start or than a trivial predictor, or not finite. Never selected, always counted.",
    "log volume": "How much room a search space has: the sum over its fields of the log of high over low.",
    "borrowed space": "A range of hyperparameters that nobody chose for this method.",
    "density": "Trials about as good as the best selected setting was when it was confirmed. Where a study can expect "
    "less than one, its search finds such a setting by luck.",
    "own choice": "A rule or a range of optwise's own, which no publication is the source of.",
    "ran as": "How trials were computed, which changes no number: one by one (solo), or so many side by side as rows "
    "of one batched program (vmap), which may be recorded once and replayed (traced).",
    "resolution": "The widest gap between two evaluations: times are known no better than this.",
}
"""Term to its meaning. Source of definitions: docs/protocol.md."""


def term(word: str, *, shown: str = "") -> str:
    """A term that says what it means to a pointer and to whoever reaches it by keyboard, as HTML.

    Args:
        word: Of the glossary.
        shown: What the text says in its place.
    """
    return f'<abbr class="term" tabindex="0" title="{escape(TERMS[word])}">{escape(shown or word)}</abbr>'


def glossary() -> str:
    """Every term with its meaning, as HTML."""
    entries = "".join(f"<dt><dfn>{escape(word)}</dfn></dt><dd>{escape(said)}</dd>" for word, said in TERMS.items())
    return f"<dl>{entries}</dl>"
