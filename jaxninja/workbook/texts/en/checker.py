"""The checker's hints that a learner reads in other words than its own user.

A learner has several gradients at hand, and a forward pass that is given.
"""

HINTS = {
    "nonlinear": "d{leaf} is wrong in how it uses {cotangent}: a gradient is linear in "
    "the upstream, and this is {what}.",
    "fixed": "{leaves:is|are} right after one change in {subject}: {edit}.",
    "fixed, not at": "{leaves:is|are} right after one change in {subject}: {edit}; at "
    "{edges} it still is not the gradient that JAX gives.",
    "fixed, not with": "{leaves:is|are} right after one change in {subject}: {edit}; "
    "not so with {options}.",
    "fixed, too": "Another change after which {leaves:is|are} right too.",
    "fixed by two": "{leaves:is|are} right after two changes: {first}; and {second}.",
    "factor before": "multiply {source} by {factor} before {result} is made of it, and "
    "not after",
    "nearby": "{leaves:is|are} the gradient of another forward, with one change in "
    "{subject}: {edit}{edges}.",
}
