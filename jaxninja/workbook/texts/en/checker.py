"""The checker's hints that a learner reads in other words than its own user.

A learner has several gradients at hand, and a forward pass that is given.
"""

HINTS = {
    "nonlinear": "d{leaf} is wrong in how it uses {cotangent}: a gradient is linear in "
    "the upstream, and this is {what}.",
    "nearby": "{leaves:is|are} the gradient of another forward, with one change in "
    "{subject}: {edit}{edges}.",
}
