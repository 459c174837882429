"""What to do about a gradient that is wrong only at inputs that the check chose, if the
function is not meant for those."""

from dataclasses import replace

from jaxninja.check.records import Leaf

SIZES = "right at the sizes given; if it is meant for no others, give inputs="
EDGES = "right at ordinary inputs; if it is meant for no others, edges=False"


def advised(leaf: Leaf, at_sizes: bool, at_edges: bool) -> Leaf:
    """The verdict on a wrong gradient with what to do, where that is to be said.

    Args:
        at_sizes: whether it was wrong first at guessed sizes, which come last.
        at_edges: whether it was right wherever no edge was, and there are edges.
    """
    text = SIZES if at_sizes else EDGES if at_edges else ""
    notes = [note for note in (leaf.note, text) if note]
    return replace(leaf, note="; ".join(notes))
