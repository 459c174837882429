"""Layers along time: recurrences over a whole sequence."""

from jaxninja.rule import Rule
from jaxninja.rules.sequence import gru, linear_recurrence, lstm, rnn

RULES: tuple[Rule, ...] = (
    rnn.rule,
    gru.rule,
    lstm.rule,
    linear_recurrence.rule,
)
