"""Layers along a sequence: attention, and recurrences over time."""

from jaxninja.rule import Rule
from jaxninja.rules.sequence import (
    attention,
    attention_bias,
    gru,
    linear_recurrence,
    lstm,
    rnn,
    rope,
)

RULES: tuple[Rule, ...] = (
    attention.rule,
    attention_bias.rule,
    rope.rule,
    rnn.rule,
    gru.rule,
    lstm.rule,
    linear_recurrence.rule,
)
