"""What each code of a diagnosis means in words; see `hints.say`."""

TEMPLATES = {
    # one leaf against the true gradients
    "nan": "d{leaf} is {what} where the true gradient is finite.",
    "straight": "d{leaf} is {dy}, as if the forward handed its input on; its true "
    "gradient is 0 everywhere. If that is on purpose, declare it by surrogate=.",
    "no gradient": "d{leaf} is not zero where the true gradient is 0 everywhere. If "
    "that is on purpose, declare it by surrogate=.",
    "zero": "d{leaf} is zero everywhere.",
    "swap": "d{leaf} is what d{other} should be.",
    "swap, both": "d{leaf} is what d{other} should be, and the other way round.",
    "swap, negated": "d{leaf} is minus what d{other} should be.",
    "sign": "d{leaf} has the wrong sign: it is minus the true gradient.",
    "ratio": "d{leaf} is the true gradient times {factor}.",
    "factor": "d{leaf} is the true gradient times {by}.",
    "borrowed": "d{leaf} is the gradient of {function}, as if {function} had made the "
    "output.",
    "ratio by size": "d{leaf} is the true gradient times {factor} here, and times "
    "{other} at other sizes.",
    "ratio by option": "d{leaf} is the true gradient times {factor} here, and times "
    "{other} with {options}.",
    "conjugate": "d{leaf} is the complex conjugate of the true gradient.",
    "transpose": "d{leaf} is transposed.",
    "transpose by": "d{leaf} is transposed by {axes}.",
    "shift": "d{leaf} is the true one shifted by {by} along axis {axis}.",
    "reverse": "d{leaf} is the true one reversed along axis {axis}.",
    "dealt": "d{leaf} has the entries of the true one in another order along axis "
    "{axis}: {step} apart side by side.",
    "spread": "d{leaf} has the {what} over axis {axis} of the true one in each entry.",
    "offset": "d{leaf} is the true gradient plus {term}.",
    "precision": "d{leaf} is right to {dtype} precision only: something is rounded on "
    "the way.",
    "diagonal": "d{leaf} is the diagonal of the Jacobian times {dy}: it takes each "
    "output to depend on the one input beside it only.",
    # in some places only
    "entry": "d{leaf} {wrong} at one entry, {index}; all others are right.",
    "line": "d{leaf} {wrong} at index {index} of axis {axis}{last} only.",
    "where": "d{leaf} {wrong} exactly where {holds}.",
    "edge": "d{leaf} is right except where {argument} is 0.",
    "only with": "{leaves:is|are} wrong with {options} only: as given it is right"
    "{unheeded}.",
    "only at": "{leaves:is|are} right at ordinary inputs and wrong at edges: {kinds}.",
    "there": "{first} There {then}",
    "with options": "with {options}: {then}",
    "unheeded": ", and bwd does with {option} what it does as given",
    # how the cotangent is used
    "ignored": "d{leaf} does not depend on {cotangent}: it is ignored.",
    "constant": "d{leaf} has a term independent of {cotangent}: {at_zero} {size}, not "
    "0.{rest}",
    "exact without": " Without that term it is exact.",
    "up to": "up to {size}",
    "nonlinear": "d{leaf} is wrong in how it uses {cotangent}: it is {what}.",
    "other cotangent": "{leaves}: the true gradient of {given}, not of {cotangent}.",
    "adjoint": "{leaves:is|are} made by the adjoint of the Jacobian, where JAX asks "
    "for its transpose: the true gradient of conj({dy}), conjugated.",
    # where a value arises
    "cast": "{leaves}: {spot} is rounded to {dtype}; exact without that cast.",
    "not finite": "{leaves:is|are} not finite{at}: {spot}, {why}.",
    "of inputs": " [{label}]",
    # what was left out of the derivation
    "no path": "{leaves:lacks|lack} the path through {spot}: the true gradient without "
    "it equals yours.",
    "subtracted": "what is subtracted in {spot}",
    "in turn": "{spot} in turn {turn} of the {turns} of its loop",
    "no term": "{leaves:lacks|lack} a term of the derivative of {spot}: the true "
    "gradient without it equals yours.",
    "path, negated": "{leaves:has|have} the path through {spot} with the wrong sign: "
    "the true gradient with that change equals yours.",
    "path twice": "{leaves:has|have} the path through {spot} twice: the true gradient "
    "with that change equals yours.",
    "path times": "{leaves:has|have} {factor} times the path through {spot}: the true "
    "gradient with that change equals yours.",
    "no path, two": "{leaves:lacks|lack} two paths, through {spots}: the true gradient "
    "without both equals yours.",
    "and through": "{one} and through {other}",
    "stops early": "d{leaf} is the gradient with respect to {spot}, not to {leaf}: the "
    "chain rule stops there.",
    "derived": "{leaves:is|are} the true gradient with one change of its derivation, "
    "in the backward of {spot}: {edit}.",
    "given otherwise": "{leaves:is|are} the true gradient for {value} in place of "
    "{argument}.",
    # residuals
    "residuals exchanged": "The residuals {one} and {other} are exchanged.",
    "residual shifted": "The residual {one} is shifted by {by} along axis {axis}.",
    "residual transposed": "The residual {one} is transposed.",
    "residual instead": "The residual {one} is another value than bwd takes it for: "
    "with {other} of the forward in its place the gradients are exact.",
    # edits that fix it
    "fixed": "{leaves:is|are} exact on a fresh sample after one edit, of {subject}: "
    "{edit}.",
    "fixed, not at": "{leaves:is|are} exact on a fresh sample after one edit, of "
    "{subject}: {edit}; at {edges} it still is not the gradient that JAX gives.",
    "fixed, not with": "{leaves:is|are} exact on a fresh sample after one edit, of "
    "{subject}: {edit}; not so with {options}.",
    "fixed, too": "Another edit after which {leaves:is|are} exact too.",
    "fixed by two": "{leaves}: exact on a fresh sample after two edits: {first}; and "
    "{second}.",
    "both": "{first}; {second}",
    "edit": "{at}{subject}: {edit}",
    "at line": "{place}: ",
    "within": "{what} within `{call}` alone",
    "leave out": "leave out {what}",
    "exchange with": "exchange it with {other}",
    "inverse order": "argsort of it, the inverse order",
    "factor of one": "multiply {what} alone by {factor}",
    "factor of both": "multiply {one} and {other} alike by {factor}",
    "factor of other": "multiply {what} by {factor} in its place",
    "factor of term": "multiply {what} by {by}, not by {old}",
    "weighted": "the sum of {what} times {by}, not the mean",
    "factor before": "multiply {source} by {factor}, before {result} is made of it",
    "row before": "take it as it was one turn before",
    "row after": "take it as it was one turn after",
    "drawn": "draw its random numbers in the shape {shape}, as the forward does",
    "instead": "{new} in place of {old}",
    "another": "another {old} in its place",
    "exponent": "exponent {to}",
    "exchange operands": "exchange the operands of {what}",
    "exchange branches": "exchange the branches of where",
    "transpose operand": "transpose {what}",
    "shift it": "shift it by {by} along axis {axis}",
    "conjugate it": "conjugate it",
    "negate it": "negate it",
    "multiply": "multiply by {by}",
    "one for all": "{what} of {of} along axis {axis} in place of each",
    "multiply part": "multiply {part} of it by {by}",
    "add transpose": "add its transpose to it",
    "mean with transpose": "the mean of it and its transpose",
    "multiply operand": "multiply {what} by {by}",
    "divide": "divide by {by}",
    "add": "add {times}{what}",
    "subtract": "subtract {times}{what}",
    "times": "{factor} * ",
    "other axis": "sum over axis {axis}, not {old}",
    "other axes": "{what} over {axes}, not over {old}",
    # another forward, whose gradient the user's is
    "nearby": "{leaves:is|are} the gradient of another forward, yours with one change "
    "in {subject}: {edit}{edges}.",
    "but at": "; not so at {edges}",
    "other order": "{one} before {other}",
    "outside root": "epsilon added to the root, not under it",
    "other direction": "{what} in the other direction",
    "loop back": "go through the rows from the other end",
    "without own": "{what} without the entry itself",
    "summed over turns": "sum it over the turns of the loop",
    "per group": "{what} over the entries of equal {by}, not over all",
    "reverse order": "{what} in reverse order",
    "every nth": "every {n}th entry of it, not the first ones",
    "along axis": "{what} along axis {axis}, not {old}",
    "constant value": "{what} taken for constant",
    "constant there": "{what} taken for constant there",
    "triangle": "the {what} triangle of it only (diagonal {k}), else {fill}",
    "move in": "shift it by {by} along axis {axis}, {filled} moved in",
    "pairs for halves": "pairs for halves of an axis",
    "regrouped": "the two axes that are one the other way round",
}
