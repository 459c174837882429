"""Figures. The only package that imports matplotlib, and it needs no display.

Series differ in line style and marker as well as in colour, and the colours are those
of Okabe and Ito: a figure can be read in black and white and by the colour-blind.
"""

from jaxninja.plots.distributions import activations, gradients, weight_gradients
from jaxninja.plots.heatmaps import attention_maps, dead_units, dlogits, embedding
from jaxninja.plots.loss import loss_curve, losses_of_runs, sweep_distribution
from jaxninja.plots.memory import kept
from jaxninja.plots.over_time import batchnorm_gaps, gradient_norms, update_ratios
from jaxninja.plots.style import png, save
from jaxninja.plots.vector import svg

__all__ = [
    "activations",
    "attention_maps",
    "batchnorm_gaps",
    "dead_units",
    "dlogits",
    "embedding",
    "gradient_norms",
    "gradients",
    "kept",
    "loss_curve",
    "losses_of_runs",
    "png",
    "save",
    "svg",
    "sweep_distribution",
    "update_ratios",
    "weight_gradients",
]
