"""The table of the graph is the graph of the code, and the samples are awkward."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import retain_grads
from jaxninja.models import atomic, atomic_block
from jaxninja.models.by_hand import ninja, user_block
from jaxninja.models.ninja import Ninja
from jaxninja.workbook import samples
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.gradient import examples, upstream
from jaxninja.workbook.solutions.lecture import NETWORK

NETWORKS = list(dict.fromkeys(e.network for e in EXERCISES.values()))
PAIR, TIED = NETWORK.pair, NETWORK.tied
PARAMETERS, STEPS = NETWORK.parameters, NETWORK.steps


def test_the_formulas_compute_what_the_code_computes(x64):
    """The lecture's network, as training runs it."""
    v = samples.sample(NETWORK, PAIR).values
    params = {name: v[name] for name in PARAMETERS}
    for name, array in jax.jit(atomic.forward)(params, v["Xb"], v["Yb"]).items():
        assert array.shape == v[name].shape
        np.testing.assert_allclose(array, v[name], rtol=1e-12)


def test_a_block_is_computed_as_training_does(x64):
    network = EXERCISES[8].network
    v = samples.sample(network, network.tied).values
    params = {name: v[name] for name in network.parameters}
    forward = jax.jit(atomic_block.forward, static_argnums=2)
    arrays = forward(params.pop("x"), params, v["H"])
    assert {*arrays} == {*network.steps}
    assert network.steps == atomic_block.STEPS
    for name, array in arrays.items():
        np.testing.assert_allclose(array, v[name], rtol=1e-9, err_msg=name)
    sizes = atomic_block.sizes(v["x"], v["H"])
    assert sizes == network.counts(network.tied)
    assert {*user_block.known()} == {*EXERCISES[8].known}


def test_steps_are_computed_anew_from_arrays_in_place_of_others(x64):
    values = dict(samples.sample(NETWORK, PAIR).values)
    values["logits"] = logits = 2 * values["logits"]
    found = NETWORK.recomputed(values, {"counts", "norm_logits"}, {"norm_logits"})
    norm_logits = logits - values["logit_maxes"]  # which are given
    assert [*found] == ["norm_logits", "counts"]
    np.testing.assert_allclose(found["norm_logits"], norm_logits, rtol=1e-13)
    np.testing.assert_allclose(found["counts"], np.exp(norm_logits), rtol=1e-13)
    (counts,) = NETWORK.recomputed(values, {"counts"}, ()).values()
    np.testing.assert_allclose(counts, values["counts"], rtol=1e-13)


def test_the_names_are_the_lectures():
    assert STEPS == atomic.STEPS
    assert PARAMETERS == atomic.PARAMETERS
    assert len(STEPS) == 20
    assert {*EXERCISES[1].names} == {*STEPS, *PARAMETERS} - {"loss"}


@pytest.mark.parametrize("number", EXERCISES)
def test_a_gradient_comes_after_all_that_it_is_made_of(number):
    exercise = EXERCISES[number]
    for k, name in enumerate(exercise.names):
        assert exercise.sources(name)[0].isdisjoint(exercise.names[k:]), name


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes_are_those_of_the_arrays(network, x64):
    at = network.tied
    values = samples.sample(network, at).values
    for node in network.nodes:
        sizes = (
            [int(c) if c.isdigit() else at[c] for c in a] for a in node.shape.split()
        )
        assert values[node.name].shape == tuple(map(np.prod, sizes)), node.name


def test_upstream_and_downstream():
    assert [node.name for node in NETWORK.uses("counts")] == ["counts_sum", "probs"]
    assert NETWORK.before("emb") == ("C", "emb")
    one, three = EXERCISES[1], EXERCISES[3]
    assert one.downstream("emb") == ("C",)
    assert one.sources("counts") == ({"counts_sum", "probs"}, set())
    assert three.sources("hprebn")[0] == {"hpreact"}
    assert len(three.sources("hprebn")[1]) == 6


def test_time_stamps_go_with_the_lecture():
    times = [node.time for node in NETWORK.nodes]
    chapters = ("0:13:01", "1:26:31")
    assert all(chapters[0] <= time < chapters[1] for time in times)
    by_backward = {node.name: node.time for node in NETWORK.nodes}
    order = [by_backward[name] for name in EXERCISES[1].names if name in STEPS]
    assert order == sorted(order)


def test_samples_are_awkward(x64):
    tied = samples.sample(NETWORK, TIED)
    attained = (tied.values["logits"] == tied.values["logit_maxes"]).sum(1)
    assert {*np.asarray(attained).tolist()} == {1, 2}
    assert len({*np.asarray(tied.values["logits"].argmax(1)).tolist()}) >= 3
    for sizes in (NETWORK.home, PAIR, TIED):
        Xb = NETWORK.inputs(sizes)["Xb"]
        assert len(np.unique(Xb)) < Xb.size
    assert PAIR["n"] == 2
    probe = samples.sample(NETWORK, TIED, "float64", "hprebn")
    assert float(abs(probe.truth["b1"]).max()) > 1e-3  # zero for the loss itself
    for axis in (0, 1):
        assert (~np.asarray(probe.truth["hprebn"]).any(axis)).sum() == 1
    assert float(abs(tied.truth["b1"]).max()) < 1e-15


def test_each_of_two_branches_counts_on_some_sample_in_rows_that_differ():
    """Else a branch that lands in the wrong rows, or is missing, would pass."""
    exercise = EXERCISES[1]
    for name in ("counts", "logits", "bndiff", "hprebn"):
        body = [s.node for s in exercise.worked.piece(f"d{name}", exercise.gradients)]
        seen = {True: 0.0, False: 0.0}
        for sample in examples(exercise):
            if name in sample.truth and sample.is_probed and sample.probe != name:
                grads = upstream(exercise, name, sample)
                space = {**sample.values, **{f"d{k}": g for k, g in grads.items()}}
                arrays = {k: numpy_backend.array(a) for k, a in space.items()}
                first = numpy_backend.run(body[:1], arrays, f"d{name}")
                for which, branch in (
                    (True, first),
                    (False, np.asarray(sample.truth[name]) - first),
                ):
                    spread = np.ptp(np.asarray(branch), 0).max() / sample.scale(name)
                    seen[which] = max(seen[which], float(spread))
        # the mean's branch is the same in all rows, as its gradient is
        least = min(seen.values()) if name != "hprebn" else seen[True]
        assert least > 0.1, name


def test_the_truth_is_autodiffs_and_the_hand_derived_networks(x64):
    """Two other routes to the parameters' gradients."""
    sample = samples.sample(NETWORK, TIED)
    params = {name: sample.values[name] for name in PARAMETERS}
    Xb, Yb = sample.values["Xb"], sample.values["Yb"]
    plain = jax.jit(jax.grad(lambda p: atomic.forward(p, Xb, Yb)["loss"]))(params)
    by_hand = jax.jit(ninja.value_and_grad, static_argnums=3)
    (_, _), mine = by_hand(params, Xb, Yb, Ninja(*map(TIED.__getitem__, "VTEH")))
    for name in PARAMETERS:
        np.testing.assert_allclose(sample.truth[name], plain[name], atol=1e-14)
        np.testing.assert_allclose(sample.truth[name], mine[name], atol=1e-12)


def test_a_batch_of_one_is_not_a_number():
    """Bessel's correction divides 0 by 0, and nothing below the variance is left."""
    v = NETWORK.inputs(PAIR)
    params = {name: jnp.asarray(v[name], "float32") for name in PARAMETERS}
    Xb, Yb = v["Xb"], v["Yb"]
    arrays = jax.jit(atomic.forward)(params, Xb[:1], Yb[:1])
    bad = [name for name in STEPS if not np.isfinite(arrays[name]).all()]
    assert bad == list(STEPS[STEPS.index("bnvar") :])


@pytest.mark.parametrize("number", EXERCISES)
def test_solutions_ask_for_what_there_is(number):
    exercise = EXERCISES[number]
    tree = ast.parse(exercise.solution)
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    assert {a.arg for a in function.args.args} <= {*exercise.known}
    assert {*exercise.least} <= {*exercise.known}


def test_retain_grads_makes_the_reference(x64):
    """The samples' truth under the loss, by the public function."""
    sample = samples.sample(NETWORK, PAIR)
    params = {name: sample.values[name] for name in PARAMETERS}
    Xb, Yb = sample.values["Xb"], sample.values["Yb"]
    reference = retain_grads(lambda p: atomic.forward(p, Xb, Yb)["loss"])
    loss, grads = jax.jit(reference)(params)
    np.testing.assert_allclose(loss, sample.values["loss"], rtol=1e-13)
    for name in EXERCISES[1].names:
        np.testing.assert_allclose(grads[name], sample.truth[name], atol=1e-14)
