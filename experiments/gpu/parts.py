"""All parts in their order, what is right before what is fast; 590 s at most."""

from experiments.gpu.processes import Part

PARTS = {
    "machine": Part("experiments.gpu.machine:measure", 40),
    "rules are right": Part("experiments.gpu.correct:rules", 120),
    "routes are right": Part("experiments.gpu.correct:routes", 75),
    "runs repeat": Part("experiments.gpu.correct:determinism", 30),
    "training": Part("experiments.gpu.training:routes", 40),
    "kernel": Part("experiments.gpu.training:kernel", 60),
    "sweeps": Part("experiments.gpu.training:sweeps", 45),
    "rules": Part("experiments.gpu.layers:rules", 90),
    "attention": Part("experiments.gpu.layers:attention", 40),
    "vocabulary": Part("experiments.gpu.layers:vocabulary", 20),
    "GPT-2": Part("experiments.gpu.gpt2:measure", 30),
}
