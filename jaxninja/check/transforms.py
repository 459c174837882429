"""The rule under JAX's transformations, against the truth of each example alone.

A rule that is right in a plain call can be wrong or refuse under vmap, where residuals
may have no batch axis while the cotangent has one; under scan and remat, where fwd
is traced apart from bwd; and in second derivatives, which differentiate fwd and bwd.
"""

import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check import cotangents
from jaxninja.check.compare import difference
from jaxninja.check.errors import explained
from jaxninja.check.firstorder import outputs
from jaxninja.check.interpret import opened
from jaxninja.check.judge import proof_tolerance
from jaxninja.check.leaves import cast, cotangent, float_leaves, with_floats
from jaxninja.check.session import Session
from jaxninja.check.settings import DRAWS, Setting
from jaxninja.check.trials import Scene

BATCH = 3
COMBINATIONS = 8  # of batched and unbatched arguments
SECOND = 1e-7  # relative tolerance of second derivatives in float64


def transformations(session: Session, scene: Scene, setting: Setting) -> None:
    """jit, vmap, jacrev, scan, remat, second derivatives, in float64."""
    if scene.subject.is_numpy:
        session.skip("transformations: the pair is NumPy")
        return
    rng = np.random.default_rng([session.options.seed, 0x7F])
    first = session.options.seed * DRAWS
    draws = [setting.draw(first + k)[1] for k in range(BATCH)]
    y = outputs(scene, draws[0])
    factor = 1.0 if session.options.linear else cotangents.SMALL
    dys = [[factor * g for g in cotangents.ordinary(y, rng)] for _ in range(BATCH)]
    with jax.enable_x64(True):
        draws = [cast(args, "float64") for args in draws]
        for name, run, examples in _all(scene, draws, dys):
            _one(session, scene, name, run, examples)
        second_order(session, scene, draws[0], dys[0])


def on_devices(session: Session, scene: Scene, setting: Setting) -> None:
    """With the leading axis of the first argument split over all devices there are."""
    count = jax.device_count()
    if scene.subject.is_numpy or count == 1:
        session.skip("more than one device: none is present")
        return
    args = setting.draw(session.options.seed * DRAWS)[1]
    sizes = [np.shape(a) for a in jax.tree.leaves(args[0])]
    if not all(shape and shape[0] % count == 0 for shape in sizes):
        session.skip(f"{count} devices: no axis of {setting.label} divides by {count}")
        return
    mesh = jax.make_mesh((count,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("i"))
    dy = cotangents.ordinary(outputs(scene, args), np.random.default_rng(7))
    with jax.enable_x64(True):
        args = cast(args, "float64")
        placed = (jax.tree.map(lambda a: jax.device_put(a, split), args[0]), *args[1:])
        pull = jax.jit(pullback(scene))
        run = lambda: [a[None] for a in pull(placed, dy)]  # noqa: E731
        _one(session, scene, f"jit over {count} devices", run, [(args, dy)])


def _all(scene: Scene, draws, dys) -> Iterator[tuple[str, Callable, list]]:
    """(name, computation, examples whose gradients it returns, stacked)."""
    pull = pullback(scene)
    alone = [(draws[0], dys[0])]
    yield "jit", lambda: [a[None] for a in jax.jit(pull)(*alone[0])], alone
    for batched in _choices(len(draws[0])):
        names = [scene.subject.argument_names[i] for i in batched]
        label = f"vmap over {', '.join(names) or 'dy only'}"
        axes = tuple(0 if i in batched else None for i in range(len(draws[0])))
        args = _stacked(draws, batched)
        run = jax.jit(jax.vmap(pull, (axes, 0)))
        examples = [
            (tuple(d[i] if i in batched else a for i, a in enumerate(draws[0])), dy)
            for d, dy in zip(draws, dys, strict=True)
        ]
        yield label, lambda r=run, a=args: r(a, _stack(dys)), examples
    every = list(zip(draws, dys, strict=True))

    def scanned():
        both = _stacked(draws, range(len(draws[0]))), _stack(dys)
        return jax.lax.scan(lambda c, xs: (c, pull(*xs)), 0, both)[1]

    yield "scan", jax.jit(scanned), every
    remat = pullback(scene, jax.checkpoint)
    yield "remat", lambda: [a[None] for a in jax.jit(remat)(*alone[0])], alone


def pullback(scene: Scene, wrap: Callable = lambda f: f) -> Callable:
    """(args, dy) -> gradients of the float leaves, through JAX's own machinery."""

    def pull(args, dy):
        op = wrap(scene.subject.op)

        def f(*floats):
            return op(*with_floats(args, floats))

        y, back = jax.vjp(f, *float_leaves(args))
        typed = [g.astype(a.dtype) for g, a in zip(dy, float_leaves(y), strict=True)]
        return back(cotangent(y, typed))

    return pull


def _choices(count: int) -> list[tuple[int, ...]]:
    """Sets of batched arguments: none (dy alone), all, each one, then the others."""
    subsets = [
        c
        for size in range(count + 1)
        for c in itertools.combinations(range(count), size)
    ]
    subsets.sort(key=lambda c: (len(c) not in (0, count), len(c)))
    return subsets[:COMBINATIONS]


def _stacked(draws, batched) -> tuple:
    return tuple(
        _stack([d[i] for d in draws]) if i in batched else arg
        for i, arg in enumerate(draws[0])
    )


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _one(session: Session, scene: Scene, name: str, run, examples) -> None:
    try:
        got = [np.asarray(a) for a in run()]
    except Exception as error:
        told = explained(f"the rule of {scene.subject.name} under {name}", error)
        session.find("E-TRANSFORM", told.sentence, told.where)
        return
    session.transformations.append(name)
    for i, (args, dy) in enumerate(examples):
        truth, _ = scene.truth(args, dy)
        for leaf, a, expected, scale in zip(
            scene.leaf_names, got, truth.gradients, truth.scales, strict=True
        ):
            largest = float(np.max(scale, initial=0.0))
            tolerance = 10 * proof_tolerance(scale, largest, 0.0, scene.coarse)
            if (
                not session.ignores(leaf)
                and not difference(a[i], expected, tolerance).ok
            ):
                text = (
                    f"under {name} d{leaf} is another than that of each example alone"
                )
                session.find("E-TRANSFORM", text, scene.subject.where)
                return


def second_order(session: Session, scene: Scene, args, dy) -> None:
    """Hessian-vector products and gradients of gradients, against the plain forward."""
    if not session.options.higher_order:
        session.skip("second derivatives: declared higher_order=False")
        return
    rng = np.random.default_rng([session.options.seed, 0x48])
    floats = float_leaves(args)
    v = [rng.standard_normal(np.shape(a)).astype(a.dtype) for a in floats]
    plain = _pull_plain(scene)
    pull = pullback(scene)
    ways = {"hvp": _forward_over_reverse, "grad of grad": _reverse_over_reverse}
    for name, way in ways.items():
        try:
            expected = jax.jit(way(plain, args, dy))(floats, v)
        except Exception:
            session.skip(f"{name}: JAX cannot differentiate the plain forward twice")
            continue
        try:
            got = jax.jit(way(pull, args, dy))(floats, v)
        except Exception as error:
            _refused(session, scene, name, error)
            continue
        session.transformations.append(name)
        _second_agrees(session, scene, name, got, expected)


def _forward_over_reverse(pull, args, dy):
    def hvp(floats, v):
        def gradient(*floats):
            return pull(with_floats(args, floats), dy)

        return jax.jvp(gradient, floats, v)[1]

    return hvp


def _reverse_over_reverse(pull, args, dy):
    def hvp(floats, v):
        def gradient(*floats):
            return pull(with_floats(args, floats), dy)

        return jax.vjp(gradient, *floats)[1](tuple(v))

    return hvp


def _pull_plain(scene: Scene) -> Callable:
    def pull(args, dy):
        def f(*floats):
            return float_leaves(opened(scene.subject.plain)(*with_floats(args, floats)))

        y, back = jax.vjp(f, *float_leaves(args))
        return back([g.astype(a.dtype) for g, a in zip(dy, y, strict=True)])

    return pull


def _refused(session: Session, scene: Scene, name: str, error: Exception) -> None:
    told = explained(f"{name} of {scene.subject.name}", error)
    if "forward-mode" in str(error):
        session.skip(f"{name}: raises, since a function with a custom VJP is called in "
                     "fwd or bwd (see W-FWDSELF)")  # fmt: skip
    else:
        session.find("W-SECOND", told.sentence, told.where)


def _second_agrees(session: Session, scene: Scene, name: str, got, expected) -> None:
    for leaf, a, e in zip(scene.leaf_names, got, expected, strict=True):
        a, e = np.asarray(a), np.asarray(e)
        largest = float(np.max(np.abs(e), where=np.isfinite(e), initial=0.0))
        coarse = SECOND if scene.coarse < 1e-12 else 1e-2
        floor = coarse * max(largest, 1e-3 * max(scene.ordinary, default=0.0))
        found = difference(a, e, floor)
        if not found.ok and not session.ignores(leaf):
            text = (
                f"{name}: the second derivative with respect to {leaf} is wrong: got "
                f"{found.got:.6g}, expected {found.expected:.6g}; is a residual under "
                "stop_gradient, or computed outside of JAX?"
            )
            session.find("E-SECOND", text, scene.subject.where)
            return
