"""What a ticket hears differently from its dense network, in the utterances that changed most."""

from lth.analysis.document import Column, Section, Table
from lth.analysis.inputs import Analysis
from lth.analysis.utterances import examples

ABOUT = (
    "The utterances whose count of wrong words changed most, chosen for that and not typical: first those that got "
    "worse, then those that got better."
)


def section(analysis: Analysis) -> Section | None:
    """Return telling utterances of one experiment's ticket; None where nothing is heard differently."""
    one = analysis.only
    if one is None or not (one.dense and one.ticket):
        return None
    found = examples(one.dense.hypotheses, one.ticket.hypotheses)
    if not found:
        return None
    columns = [Column(name) for name in ("utterance", "change", "spoken", "dense heard", "ticket heard")]
    rows = [[e.id, _change(e.change), e.reference, e.dense, e.ticket] for e in found]
    note = "Underlined, or in brackets: a wrong word; plus: inserted; struck, or with a minus: missed."
    table = Table("examples", "Utterances", columns, rows, note)
    kind = "extreme" if one.extreme else "best"
    return Section("examples", f"What the {kind} ticket hears differently", [ABOUT], [table])


def _change(words: int) -> str:
    return f"{abs(words)} wrong word{'s' * (abs(words) > 1)} {'more' if words > 0 else 'fewer'}"
