"""What rnn, gru and lstm ask of their arguments."""

from jaxninja.rule import expect, expect_floats
from jaxninja.rules.sequence.recurrence import Cell, Weights


def check_arguments(
    op: str, cell: Cell, x, states: dict, weights: Weights, chunk
) -> None:
    """Raise ValueError unless all fits together; `states` are h0, and c0 of an LSTM."""

    def shape(name, array, expected, fits):
        expect(op, name, f"of shape {array.shape}", expected, fits)

    Wx, Wh, *_ = weights
    shape("x", x, "[T, *batch, D], not empty", x.ndim >= 2 and x.size > 0)
    H = Wh.shape[0] if Wh.ndim else 0
    width = cell.gates * H
    expected = f"[H, {cell.gates} H] with H > 0"
    shape("Wh", Wh, expected, Wh.shape == (H, width) and H > 0)
    D, known = x.shape[-1], f"as x is {x.shape} and Wh {Wh.shape}"
    shape("Wx", Wx, f"[{D}, {width}], {known}", Wx.shape == (D, width))
    two = weights.bh is not None
    biases: dict = {"bx": weights.bx, "bh": weights.bh} if two else {"b": weights.bx}
    for name, b in biases.items():
        shape(name, b, f"[{width}], as Wh is {Wh.shape}", b.shape == (width,))
    batch = *x.shape[1:-1], H
    for name, state in states.items():
        shape(name, state, f"{[*batch]}, {known}", state.shape == batch)
    expect_floats(op, x=x, **states, Wx=Wx, Wh=Wh, **biases)  # a state keeps its type
    whole = chunk is None or (isinstance(chunk, int) and chunk >= 1)
    expect(op, "chunk", repr(chunk), "None, or an integer of 1 or more", whole)
