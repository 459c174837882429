"""Records of a run, as `observe` writes them, and what a figure's legend says."""

EMPTY = {"low": 0.0, "high": 0.0, "counts": [0] * 8, "nonfinite": 12}
CONSTANT = {"low": 2.0, "high": 2.0, "counts": [12] + [0] * 7, "nonfinite": 0}
NORMAL = {"low": -1.0, "high": 3.0, "counts": [1, 2, 6, 9, 6, 2, 0, 1], "nonfinite": 0}


def line(step=0, layers=3, histogram=NORMAL, number=0.5):
    """A record as `observe` writes it."""
    names = [f"h{i + 1}" for i in range(layers)]
    stats = {"mean": number, "std": number, "saturated": number, "dead": 0.0}
    return {
        "step": step,
        "loss": number,
        "grad_norm": number,
        "clipped": None,
        "activations": {
            n: stats | {"constant": 0.0, "histogram": histogram}
            for n in (*names, "logits")
        },
        "gradients": {
            n: {"std": number, "zero": 0.0, "histogram": histogram} for n in names
        },
        "parameters": {
            n: {"grad_data": number, "update_data": number, "histogram": histogram}
            for n in ("C", "W1", "W2", "b2")
        },
        "batchnorm": {"1": {"mean": number, "std": number}},
    }


def words(figure):
    legend = figure.axes[0].get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def names(figure):
    """The labels at the ends of the curves, from below."""
    return [text.get_text() for text in figure.axes[0].texts]
