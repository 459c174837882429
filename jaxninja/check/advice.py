"""What to do about a gradient that is wrong only at inputs that the check chose, if the
function is not meant for those."""

from collections.abc import Mapping
from dataclasses import replace

from jaxninja.check.inputs.setting import Setting
from jaxninja.check.oracle.tolerances import Trial
from jaxninja.check.records import Leaf

SIZES = "right at the sizes given; if it is meant for no others, give inputs="
EDGES = "right at ordinary inputs; if it is meant for no others, edges=False"


def advised(
    leaf: Leaf, first: Trial, settings: Mapping[str, Setting], at_edges: bool
) -> Leaf:
    """The verdict on a wrong gradient with what to do, where that is to be said.

    Args:
        first: where it was wrong first; what was given is tried before anything else.
        at_edges: whether it was right wherever no edge was, and there are edges.
    """
    setting = settings.get(first.setting)
    guessed = setting is not None and setting.guessed and not setting.option
    text = SIZES if guessed else EDGES if at_edges else ""
    notes = [note for note in (leaf.note, text) if note]
    return replace(leaf, note="; ".join(notes))
