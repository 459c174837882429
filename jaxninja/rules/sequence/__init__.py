"""Layers along time: recurrences over a whole sequence."""

from jaxninja.rule import Rule
from jaxninja.rules.sequence import gru, lstm, rnn

RULES: tuple[Rule, ...] = (rnn.rule, gru.rule, lstm.rule)
