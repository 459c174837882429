"""What a learner reads in English of a notebook that is imported."""

SENTENCES = {
    "imported": "exercise {number}: {count} of {of} gradients -> {path}",
    "left": "{place}: no translation of `{text}`: {why}",
    "place": "cell {cell}, line {line}",
    "cell": "cell {cell}",
    "from": "From {name}, in JAX; cells and lines are numbered as there.",
    "no translation": "{place} has no translation: {why}",
    "one axis": "[1, H] in the notebook, [H] here",
    "one array": "{place}: in PyTorch {new} and {old} are one array after {new} = "
    "{old}, and this line changes both: it needs .clone(); arrays of JAX do not change",
    # why a line has no translation
    "own gradient": "this is PyTorch's own gradient: here it is to be derived by hand",
    "no counterpart": "{what} has no counterpart here",
    "arguments": "{name}(...) has arguments that are not known here",
    "needed num_classes": "{name}: without num_classes it counts the largest index "
    "found: give num_classes",
    "needed dim": "{name}: without dim PyTorch chooses the axis itself: give dim",
    "needed b": "{name}: with one argument it gives indices: give b",
    "dtype": "dtype {dtype} is not known here",
    "keyword": "{name}(..., {keyword}=) has no counterpart",
    "flatten": "flatten from an axis that is not a number",
    "along": "{name} along an axis other than 0 and 1",
    "axis": "the axis is not a number from 0 to 2",
    "statement": "a statement of this kind ({kind}) is not translated",
    "together": "{what} is assigned together with others: give it a line of its own",
    "changes besides": "a method with _ changes {name} besides: give that a line of "
    "its own",
    "nameless": "{what} is changed, and has no name",
    "index of index": "{what}: an index of an index",
    "thrown away": "{what} is a copy in PyTorch, and is thrown away: write it with = "
    "and an operator",
    "changes argument": "{function} changes its argument {name}, which arrays of JAX "
    "do not",
    "not Python there": "not Python: {why}",
    "not whole": "{name} is not whole without {place}",
    "needs": "it needs {name} of {place}",
    # a notebook that is not imported at all
    "wanted": "expected a notebook, as Colab saves it: File, Download, Download .ipynb",
    "no notebook": "{path} is no notebook: {wanted}",
    "no nbformat": "{path} is no notebook (no nbformat in it): {wanted}",
    "other language": "{path} is in {language}, expected a notebook in Python",
    "notebook not there": "{path} is not there",
    "notebook not UTF-8": "{path} is not UTF-8 at byte {byte}: {wanted}",
    "notebook unreadable": "{path} cannot be read: {why}",
    "broken JSON": "{path} is no notebook, or a broken one: its JSON breaks at line "
    "{line}, column {column} ({why})",
    "format": "{path} is of version {version!r} of the notebooks' format, expected 1 "
    "to 4: save it in an older one",
    "broken notebook": "{path} is a broken notebook ({kind}: {why})",
    "another notebook": "{path} is another notebook: expected the lecture's, whose "
    "forward pass has {first}, ..., {last}; of its {of} steps this has {count}",
    "no answers": "{path} has no answers: no line makes a gradient of exercises 1 to "
    "3, as dlogprobs = ...; fill some in, or begin here with `jaxninja exercise start`",
    "begun": "{path} is begun already, and is kept: import into another folder with "
    "--dir, or `jaxninja exercise reset {number}` first",
}
