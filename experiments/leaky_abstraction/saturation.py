"""Sigmoids and tanhs at a large initialisation: x (1 - x) = 0, and nothing learns.

Weights of standard deviation 1 into 100 units give sums of standard deviation near 10.
There y (1 - y) and (1 - y) (1 + y) are nearly zero or, once y rounds to 1, exactly; the
chain rule multiplies by one such factor a layer.
"""

from experiments.leaky_abstraction.setup import Outcome, train, word

NET = {"layers": 4, "hidden": 100, "batchnorm": "none"}


def experiment(activation: str = "sigmoid") -> Outcome:
    wrong = train(0, activation=activation, init="original", **NET)
    # Kaiming for both; 4 makes up for the quarter that is the sigmoid's steepest slope
    gain = 4.0 if activation == "sigmoid" else None
    fixed = train(0, activation=activation, init="kaiming", gain=gain, **NET)
    return Outcome(
        f"{activation} saturates at a large initialisation",
        _measure(wrong.lines[0]),
        _measure(fixed.lines[0]),
        "weights scaled by gain / sqrt(fan-in), a gain of 4 for the sigmoid",
        word(wrong, "activations"),
    )


def _measure(line: dict) -> dict[str, float]:
    gradients, layers = line["gradients"], line["activations"]
    return {
        "saturated in h4": layers["h4"]["saturated"],
        "exact zeros in the gradient of pre4": gradients["pre4"]["zero"],
        "gradient std, pre1 / pre4": gradients["pre1"]["std"]
        / gradients["pre4"]["std"],
    }
