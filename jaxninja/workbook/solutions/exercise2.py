"""Exercise 2: the gradient of the cross entropy, in one expression (1:26:31).

Exercise 1 took eight steps from the loss to the logits. Take the loss as one formula,

    loss = mean over the rows of  log(sum_j exp(logits_j)) - logits_y

differentiate it with pen and paper, and almost everything cancels.
"""

import jax

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.solutions.lecture import NETWORK


def backward(logits, Yb, n):
    # rule: Differentiate log(sum exp) - logits_y with respect to one logit k.
    # step: Take one row with target y: its loss is log(sum_j exp(l_j)) - l_y. By l_k
    #   the second part has the derivative 1 where k = y, and 0 elsewhere.
    # step: By l_k the first part has the derivative exp(l_k) / sum_j exp(l_j): that is
    #   the probability of k, which softmax gives for all k at once.
    # step: The loss is the mean over n rows, so a row's part of it counts 1/n.
    # formula: (softmax(logits) - onehot(Yb)) / n.
    # why: d/dk log(sum exp) = exp_k / sum = p_k, and d/dk logits_y is 1 if k = y, else
    #   0; the mean divides by n. Each row sums to zero: the wrong characters are pushed
    #   down by their probabilities, the right one is pulled up by what they sum to.
    dlogits = (jax.nn.softmax(logits, 1) - jax.nn.one_hot(Yb, logits.shape[1])) / n

    return dlogits


EXERCISE = Exercise(
    2,
    "cross entropy in one expression",
    NETWORK,
    effort={"logits": (20, 1)},
    least=("logits",),
    time="1:26:31",
)
