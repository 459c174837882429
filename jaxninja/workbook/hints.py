"""Why a gradient is wrong, as data, and the one place where that becomes English.

Whoever finds something states a code and facts; `TEMPLATES` says what each means in
words, in other languages those of `texts`. Nothing reads the words back. The checker's
own are in `jaxninja.check.hints`. A new code goes into `texts/zh/hints.py` too.
"""

from dataclasses import dataclass, field
from typing import Any

from jaxninja.workbook.texts.languages import current, phrase, sentence, stopped
from jaxninja.workbook.texts.wrapping import unspaced
from jaxninja.workbook.texts.zh import hints as chinese

OTHERS = {"zh": chinese.HINTS}
TEMPLATES = {
    # all of it
    "zero": "d{name} is zero everywhere, up to rounding",
    "sign of all": "d{name} has the wrong sign",
    "transposed": "d{name} is transposed",
    "times n": "d{name} is n times too large",
    "over n": "d{name} is divided by n once too often",
    "same rows": "d{name} is the same in every row: the true one's mean over axis 0",
    "factor": "d{name} is the true gradient times {factor}",
    # its branches
    "one branch": "d{name} is its branch by {one} only: {name} is read by {all}; the "
    "branch by {other} is missing: add it with +=",
    "no branch": "d{name}: {name} is read by {all}; the branch by {other} is missing: "
    "add it with +=",
    "one branch, max": "d{name} is its branch by {one} only: {name} is read by "
    "{all}; the max branch is missing: add d{other} at each row's maximum",
    "overwritten": "d{name} is its branch by {other} only: {name} is read by {all}; "
    "the branch by {one} was overwritten: = stands where += should",
    "branch twice": "d{name}: the branch by {other} is added twice",
    "branch off": "d{name}: the branch by {other} has the wrong sign",
    "lands": "d{name}: {branch}lands in {where} of row {row}, where it belongs in "
    "{place}",
    # sums, sizes and signs
    "no sum": "d{name}: the sum over axis {axis} of {inner} is missing: what was "
    "broadcast forward is summed backward",
    "mean": "d{name}: a mean stands where a sum should",
    "other axis": "d{name}: the {kind} goes over axis {other}, it should go over axis "
    "{axis}",
    "all axes": "d{name}: the {kind} goes over all axes, it should go over axis {axis}",
    "sum": "d{name}: a sum stands where a mean should",
    "sum too many": "d{name}: {inner} is summed over axis {axis}, and should not be: "
    "it was not broadcast forward",
    "sums first": "d{name}: sums are multiplied, where products should be summed: "
    "{whole}",
    "n - 1": "d{name}: {size} - 1 stands where {size} should",
    "no 1/n": "d{name}: the factor 1/{below} is missing",
    "n": "d{name}: n stands where n - 1 should: Bessel's correction",
    "no minus": "d{name}: the minus in front of {inner} is missing: the sign is wrong",
    "plus": "d{name}: {right} is added, it should be subtracted: the sign is wrong",
    "not subtracted": "d{name}: {what} is not subtracted: that term is missing",
    "no term": "d{name}: the term {left} is missing",
    # products and powers
    "no transpose": "d{name}: {inner} should be transposed",
    "no product": "d{name}: the matrix product of {inner} is missing: {missing}",
    "extra transpose": "d{name}: {inner} should not be transposed",
    "no swap": "d{name}: axes {axes} of {inner} should be exchanged: .swapaxes({axes})",
    "operands": "d{name}: the operands of @ are exchanged: {left} comes first",
    "no upstream": "d{name}: {missing}, the upstream gradient, is not multiplied in",
    "no factor": "d{name}: the factor {missing} is missing",
    "divided": "d{name}: divided by {right}, it should be multiplied by it",
    "multiplied": "d{name}: multiplied by {right}, it should be divided by it",
    "extra factor": "d{name}: {inner} is multiplied by {extra}, and should not be",
    "extra division": "d{name}: {inner} is divided by {extra}, and should not be",
    "brackets": "d{name}: {part} is of one term alone, it should be of all: put them "
    "in brackets",
    "exchanged": "d{name}: {one} and {other} are exchanged",
    "no division": "d{name}: the division by {right} is missing",
    "no power": "d{name}: the power {power} of {base} is missing",
    "other power": "d{name}: {base} is to the power {new}, it should be {power}",
    "added outside": "d{name}: {number} is added after a power is taken, it should be "
    "added to {base} before: {right}",
    "other slope": "d{name}: the derivative of {new} stands where that of {old} "
    "should: {right}",
    "power of all": "d{name}: the power {power} is of {base} alone: {right}",
    "number": "d{name}: {new} stands where {old} should",
    "no mask": "d{name}: {inner} is not masked: what was masked moves nothing, so its "
    "gradient is 0 where {mask} is False",
    "mask transposed": "d{name}: the mask is transposed: 0 belongs where {mask} is "
    "False",
    "minus infinity": "d{name}: -jnp.inf stands where 0 should: what was masked moves "
    "nothing, so its gradient is 0 where {mask} is False",
    "diagonal": "d{name}: {p} * (1 - {p}) is the diagonal of softmax's Jacobian alone: "
    "each entry of a row depends on all others; take the sum over the row of {inner} "
    "off {upstream}",
    # softmax, indices, shapes, saved arrays
    "softmax axis": "d{name}: the softmax goes over axis {other}, it should go over "
    "axis {axis}: each row is one example's",
    "no softmax": "d{name}: the softmax is missing: {x} are no probabilities",
    "exp": "d{name}: exp({x}) is not normalised: a softmax divides it by the sum of "
    "its row",
    "log_softmax": "d{name}: a log_softmax stands where a softmax should",
    "set": "d{name}: set stands where add should: of a row that is read more than once "
    "the last gradient overwrites all",
    "first symbol": "d{name}: only the first symbol of each context is counted",
    "all rows": "d{name}: [:, Yb] stands where [jnp.arange(n), Yb] should: a row has "
    "one target",
    "argmax": "d{name}: argmax(1) stands where Yb should: the loss reads the target's "
    "entry",
    "one-hot": "d{name}: the one-hot is of {other}, it should be of {given}",
    "all entries": "d{name}: what belongs at the target alone is taken off at every "
    "entry: use the one-hot of {given}",
    "rows": "d{name}: [{given}] alone picks whole rows: [jnp.arange(n), {given}] picks "
    "one entry of each row",
    "no one-hot": "d{name}: {given} stands where its one-hot should: it holds the "
    "numbers of the classes",
    "ties": "d{name}: in a row whose maximum is attained twice each of the two places "
    "receives the whole of dlogit_maxes: divide it among them, or give it to one, as "
    "argmax does",
    "order": "d{name}: the shape is right, the order of the numbers is not: the "
    "forward pass used plain reshape, and .reshape({name}.shape) undoes it",
    "list order": "d{name}: the parts are in another order, it should be {right}",
    "no reshape": "d{name}: the numbers are right, the shape is {given}: write "
    ".reshape({name}.shape)",
    "other places": "d{name}: these are the right numbers in other places: undo each "
    "reshape and each exchange of axes of the forward pass, the last one first",
    "not spread": "d{name} is {given}, and {name} is {expected}: nothing is broadcast "
    "here, so copy it: jnp.broadcast_to(..., {name}.shape)",
    "not summed": "d{name} is {given}, and {name} is {expected}: sum it over axis "
    "{axis}",
    "diagonal alone": "d{name}: @ pairs every row with every other; its diagonal alone "
    "is right: multiply with * and sum",
    "every with every": "d{name}: jnp.dot multiplies each matrix of one stack with "
    "every matrix of the other: use @, which takes them in pairs",
    "saved": "d{name}: {new} stands where {old} should: the wrong saved value",
    "all saved": "d{name}: {new} stand where {old} should: the wrong saved values",
    "value": "d{name}: {new} stands where {old} should",
    "slope": "d{name}: {new} stands where a derivative should: it is a value of the "
    "forward pass, not how much a value changes",
    "upstream": "d{name}: {new} stands where {old} should: the wrong upstream gradient",
    "gradient for array": "d{name}: {new} stands where {old} should: the gradient in "
    "place of the array",
    "array for gradient": "d{name}: {new} stands where {old} should: the array in "
    "place of its gradient",
    # without knowing the mistake
    "narrow": "dtype: it is {dtype}, which cannot hold the gradient: use float32",
    "sizes": "d{name} is right for {whose} sizes: {which}",
    "written out": "d{name}: {which}: other sizes are checked too",
    "does not follow": "d{name} does not follow from {sources}: it is right for "
    "{above}, and the same whatever {sources} is. Apply the chain rule to this "
    "step alone (short cuts are for exercises 2, 3, 4 and 8)",
    "loss only": "d{name} is right for {above}, and off by {error} of its largest "
    "entry where {sources} is random: the one hides the mistake",
    "tiny": "d{name} is off by {error} of its largest entry: too little to show in "
    "float32, too much for rounding in float64. Is something small added, a number cut "
    "short, an array cast to float32, a derivative taken by differences?",
    "imprecise": "d{name} is off by {error} of its largest entry: a derivative taken "
    "by differences, or something rounded on the way?",
    "at one value": "d{name} is right only where {name} is {value}: is a factor too "
    "much, or is one missing, that is 1 there?",
    "zero over zero": "d{name} is NaN where {upstream} is 0: do not divide by it",
    "not finite": "d{name} is NaN or infinite: look for 0 / 0, 1 / 0, log(0), "
    "and for an index past the end",
    "not finite at": "d{name} is NaN or infinite, from {text} in line {line} on: look "
    "for 0 / 0, 1 / 0, log(0), and for an index past the end",
    "infinite array": "d{name} is NaN or infinite: {text}, in line {line}, has "
    "infinite entries",
    "checker": "{text}",
    # what is written
    "not a parameter": "{given} is no parameter of backward: add it there{meant}",
    "below": "{given} is made in line {below} only, below this line",
    "undefined": "{given} is not defined{meant}",
    "not in the cell": "{given} is not defined: backward sees its own cell, jax, jnp "
    "and np{meant}",
    "dropped": "line {line}: the result of .at[...].{method}(...) is dropped, and "
    "arrays of JAX do not change: write {root} = {root}.at[...].{method}(...)",
    "extra term": "line {line}: the term {term} is too much: leave it out",
    "precedence": "line {line}: ** comes before /: for a power of {quotient} write "
    "** ({quotient})",
    "power of sum": "line {line}: ** comes before +: for a power of {quotient} write "
    "({quotient}) **",
    "minus one": "line {line}: / comes before -: to divide by {quotient} write / "
    "({quotient})",
    "xor": "line {line}: ^ is exclusive or in Python; a power is **",
    "product": "line {line}: {text} is {one} @ {other}: the last axis of the one has "
    "to be as long as the last but one of the other{instead}",
    "unfinished": "line {line}: {text} is no array before a method changes it: write "
    "{text}.add(...) or .set(...)",
    "broadcast": "line {line}: {left} is {one} and {right} is {other}: counted from "
    "the last, two axes must be equally long, or one of them 1{instead}",
    "einsum": "line {line}: in einsum {letter} is {one} in {left} and {other} in "
    "{right}: a letter stands for one length",
    "at": "line {line}: {right} is {other}, and the entries {left}, where it goes, are "
    "{one}: give it that shape",
    "at other sizes": "with other sizes ({sizes}) it does not run: {text}",
    "in place": "line {line}: arrays of JAX do not change in place: write {root} = "
    "{root}.at[...].{method}(...)",
    "torch": "line {line}: {old} is PyTorch's; in JAX {new}",
}


@dataclass(frozen=True)
class Hint:
    """A statement on one gradient: `code` of TEMPLATES, and what fills its places.

    `line` is of the learner's file, where it is known.
    """

    code: str
    facts: dict[str, Any] = field(default_factory=dict)
    line: int | None = None

    @property
    def sentence(self) -> str:
        template = OTHERS.get(current(), TEMPLATES).get(self.code, TEMPLATES[self.code])
        said = {name: _said(name, fact) for name, fact in self.facts.items()}
        return stopped(unspaced(template.format_map(said)))

    def __str__(self) -> str:
        return self.sentence

    def of(self, name: str) -> "Hint":
        """About the gradient of this array."""
        return Hint(self.code, {"name": name, **self.facts}, self.line)


def _said(name: str, fact: Any) -> Any:
    """A few words, or several names, in the current language."""
    if name == "kind":  # of reduction; elsewhere `mean` is an array
        return sentence(f"kind {fact}")
    if isinstance(fact, str):
        return phrase(fact)
    if not isinstance(fact, list | tuple):
        return fact
    *most, last = fact
    first = sentence("comma").join(most)
    return sentence("and by", first=first, last=last) if most else last


def say(code: str, **facts: Any) -> Hint:
    return Hint(code, facts)
