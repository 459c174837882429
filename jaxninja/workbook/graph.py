"""The graph of the lecture's network: 7 parameters, 20 named steps, who uses whom.

The formulas are text, for templates, hints and pictures; `jaxninja.models.atomic` is
the code that runs, and a test holds the two together.
"""

import ast
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Node:
    """A named array of the forward pass.

    Attributes:
        name: the lecture's.
        shape: n batch, T context, E embedding, H hidden, V vocabulary.
        formula: what it is computed from; empty for a parameter.
        time: about when the lecture derives its gradient. The published chapters have
            times of their own; within a chapter it is interpolated by words spoken.
    """

    name: str
    shape: str
    formula: str
    time: str

    @cached_property
    def parents(self) -> tuple[str, ...]:
        """The names its formula reads, parameters included."""
        nodes = ast.walk(ast.parse(self.formula))
        read = {node.id for node in nodes if isinstance(node, ast.Name)}
        return tuple(node.name for node in NODES if node.name in read)

    @property
    def line(self) -> str:
        return f"{self.name} = {self.formula}"


NODES = (
    Node("C", "V E", "", "1:22:19"),
    Node("W1", "TE H", "", "1:19:03"),
    Node("b1", "H", "", "1:19:03"),
    Node("W2", "H V", "", "0:41:50"),
    Node("b2", "V", "", "0:41:50"),
    Node("bngain", "H", "", "0:55:07"),
    Node("bnbias", "H", "", "0:55:07"),
    Node("emb", "n T E", "C[Xb]", "1:21:08"),
    Node("embcat", "n TE", "emb.reshape(n, -1)", "1:19:03"),
    Node("hprebn", "n H", "embcat @ W1 + b1", "1:17:21"),
    Node("bnmeani", "1 H", "1 / n * hprebn.sum(0, keepdims=True)", "1:14:54"),
    Node("bndiff", "n H", "hprebn - bnmeani", "1:13:33"),
    Node("bndiff2", "n H", "bndiff**2", "1:09:15"),
    Node("bnvar", "1 H", "1 / (n - 1) * bndiff2.sum(0, keepdims=True)", "1:03:53"),
    Node("bnvar_inv", "1 H", "(bnvar + 1e-5) ** -0.5", "1:01:09"),
    Node("bnraw", "n H", "bndiff * bnvar_inv", "0:57:57"),
    Node("hpreact", "n H", "bngain * bnraw + bnbias", "0:53:27"),
    Node("h", "n H", "jnp.tanh(hpreact)", "0:41:50"),
    Node("logits", "n V", "h @ W2 + b2", "0:37:57"),
    Node("logit_maxes", "n 1", "logits.max(1, keepdims=True)", "0:32:55"),
    Node("norm_logits", "n V", "logits - logit_maxes", "0:32:19"),
    Node("counts", "n V", "jnp.exp(norm_logits)", "0:28:56"),
    Node("counts_sum", "n 1", "counts.sum(1, keepdims=True)", "0:27:47"),
    Node("counts_sum_inv", "n 1", "counts_sum**-1", "0:22:05"),
    Node("probs", "n V", "counts * counts_sum_inv", "0:19:14"),
    Node("logprobs", "n V", "jnp.log(probs)", "0:13:01"),
    Node("loss", "", "-logprobs[jnp.arange(n), Yb].mean()", "0:13:01"),
)
NODE = {node.name: node for node in NODES}
STEPS = tuple(node.name for node in NODES if node.formula)
PARAMETERS = tuple(node.name for node in NODES if not node.formula)

# The lecture's order, and a backward one: an array comes after all that use it.
# fmt: off
BACKWARD = (
    "logprobs", "probs", "counts_sum_inv", "counts_sum", "counts", "norm_logits",
    "logit_maxes", "logits", "h", "W2", "b2", "hpreact", "bngain", "bnbias", "bnraw",
    "bnvar_inv", "bnvar", "bndiff2", "bndiff", "bnmeani", "hprebn", "embcat", "W1",
    "b1", "emb", "C",
)
# fmt: on


def uses(name: str) -> tuple[Node, ...]:
    """The steps that read an array: its gradient has one branch for each."""
    return tuple(node for node in NODES if node.formula and name in node.parents)


def before(name: str) -> tuple[str, ...]:
    """All arrays that influence this one, itself included, in the order of NODES."""
    found = {name}
    for node in reversed(NODES):
        if node.name in found:
            found.update(node.parents)
    return tuple(node.name for node in NODES if node.name in found)


def downstream(name: str) -> tuple[str, ...]:
    """The gradients that are computed from this one's, in backward order."""
    ancestors = before(name)
    return tuple(other for other in BACKWARD if other in ancestors and other != name)


def frontier(name: str, known: frozenset[str]) -> tuple[set[str], set[str]]:
    """Where a gradient comes from, if those of `known` arrays are at hand.

    Returns:
        The nearest known arrays that read it, directly or by others, and those others.
    """
    found, between, todo = set(), set(), [name]
    while todo:
        for node in uses(todo.pop()):
            if node.name in known or node.name == "loss":
                found.add(node.name)
            elif node.name not in between:
                between.add(node.name)
                todo.append(node.name)
    return found, between
