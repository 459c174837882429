"""Spikes and circuits."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def through_time(args, dy):
    """Autodiff through neurons whose spikes are smooth, the reset apart."""
    current, decay, threshold, slope = args

    def run(current, decay):
        def step(v, now):
            v = decay * v + now
            over = v - threshold
            hard = (over > 0).astype(v.dtype)
            soft = over / (1 + slope * jnp.abs(over))
            spike = soft + lax.stop_gradient(hard - soft)
            return v - threshold * lax.stop_gradient(spike), spike

        return lax.scan(step, jnp.zeros_like(current[0]), current)[1]

    return jax.vjp(run, current, decay)[1](dy)


@case(
    "leaky neurons with surrogate gradients (snnax, norse and snntorch in JAX)",
    "spiking neuron",
    lambda rng: (normal(rng, 6, 4, mean=0.5), jnp.float32(0.9), 1.0, 10.0),
    Twin(
        "reset attached",
        "term|path",
        "current decay",
        "The reset, which the library detaches, is pulled back.",
    ),
    Twin(
        "no leak",
        "factor|operand|ratio",
        "current decay",
        "The membrane's gradient goes back in time without the decay.",
    ),
    Twin(
        "tail of the surrogate",
        "function|factor|operand",
        "current decay",
        "The surrogate is not squared.",
    ),
    options=lambda plain: {"surrogate": through_time},
    fixed=(1,),
    narrow=False,
)
def lif_spikes(slip):
    def run(current, decay, threshold):
        def step(v, now):
            before = v
            v = decay * v + now
            spike = (v > threshold).astype(v.dtype)
            return v - threshold * spike, (spike, before, v)

        return lax.scan(step, jnp.zeros_like(current[0]), current)[1]

    def plain(current, decay, threshold, slope):
        return run(current, decay, threshold)[0]

    neurons = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(current, decay, threshold, slope):
        spikes, before, membrane = run(current, decay, threshold)
        return spikes, (decay, before, membrane)

    def bwd(threshold, slope, res, g):
        decay, before, membrane = res
        power = 1 if slip == "tail of the surrogate" else 2
        window = (1 + slope * jnp.abs(membrane - threshold)) ** -power

        def step(carry, part):
            dv, ddecay = carry
            dspike, shape, old = part
            if slip == "reset attached":
                dspike = dspike - threshold * dv
            dv = dv + dspike * shape
            back = dv if slip == "no leak" else decay * dv
            return (back, ddecay + (dv * old).sum()), dv

        start = (jnp.zeros_like(g[0]), jnp.zeros_like(decay))
        parts = (g, window, before)
        (_, ddecay), dcurrent = lax.scan(step, start, parts, reverse=True)
        return dcurrent, ddecay

    neurons.defvjp(fwd, bwd)
    return neurons, plain


PAULIS = np.array([[[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@case(
    "layers of rotations in PennyLane and TensorCircuit: adjoint differentiation",
    "quantum circuit",
    draw(angles=(2, 3, 2)),
    Twin(
        "half angle",
        "ratio|factor",
        "angles",
        "That a gate turns by half of its angle is counted twice.",
    ),
    Twin(
        "entangler left",
        "path|term|operand|transpose|function|residual",
        "angles",
        "The observable's state is not carried back through the entangling gates.",
    ),
    Twin(
        "wires",
        "sum|index|operand|path|mask",
        "angles",
        "Only the first wire's cotangent weighs the observables.",
    ),
)
def rotation_circuit(slip):
    def on_wire(matrix, state, wire):
        return jnp.moveaxis(jnp.tensordot(matrix, state, (1, wire)), 0, wire)

    def generator(k, dtype):
        return jnp.asarray(PAULIS[k], dtype)

    def turn(angle, k, dtype):
        half = angle / 2
        unit = jnp.eye(2, dtype=dtype)
        return jnp.cos(half) * unit - 1j * jnp.sin(half) * generator(k, dtype)

    def entangle(state):
        """Controlled phase flips between neighbours; their own inverse."""
        bits = np.indices(state.shape)
        flips = (bits[:-1] * bits[1:]).sum(0)
        return state * jnp.asarray((-1.0) ** flips, state.real.dtype)

    def run(angles):
        layers, wires, _ = angles.shape
        dtype = jnp.result_type(angles.dtype, jnp.complex64)
        state = jnp.zeros((2,) * wires, dtype).at[(0,) * wires].set(1)
        for layer in range(layers):
            for wire in range(wires):
                for k in (0, 1):
                    gate = turn(angles[layer, wire, k], k, dtype)
                    state = on_wire(gate, state, wire)
            state = entangle(state)
        return state

    def signs(wires):
        return 1 - 2 * np.indices((2,) * wires)

    def expected(state):
        chance = state.real**2 + state.imag**2
        z = jnp.asarray(signs(state.ndim), chance.dtype)
        return jnp.tensordot(z, chance, chance.ndim)

    @jax.custom_vjp
    def circuit(angles):
        return expected(run(angles))

    def fwd(angles):
        state = run(angles)
        return expected(state), (angles, state)

    def bwd(res, g):
        angles, state = res
        layers, wires, _ = angles.shape
        weights = jnp.full_like(g, g[0]) if slip == "wires" else g
        z = jnp.asarray(signs(wires), g.dtype)
        bra = jnp.tensordot(weights, z, 1) * state
        grads = jnp.zeros_like(angles)
        for layer in reversed(range(layers)):
            state = entangle(state)
            bra = bra if slip == "entangler left" else entangle(bra)
            for wire in reversed(range(wires)):
                for k in (1, 0):
                    moved = on_wire(generator(k, state.dtype), state, wire)
                    slope = (jnp.conj(bra) * moved).sum().imag
                    slope = slope / 2 if slip == "half angle" else slope
                    grads = grads.at[layer, wire, k].set(slope)
                    back = turn(-angles[layer, wire, k], k, state.dtype)
                    state, bra = (on_wire(back, a, wire) for a in (state, bra))
        return (grads,)

    circuit.defvjp(fwd, bwd)
    return circuit, circuit.fun
