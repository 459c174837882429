"""The rule over several devices: sharded by jit, and in both nestings of shard_map.

jit may split arrays as it likes and changes no result. Within shard_map each device
holds its part, and grad may stand inside (each part's own gradient) or outside (the
gradient of all parts together). Arguments that are the same everywhere are cast to
"varying" first, as JAX asks of whoever calls a custom_vjp function on them.
"""

from functools import partial

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxninja.check.errors import UserCodeError, explained
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.properties.first_derivatives import outputs, sized
from jaxninja.check.properties.transforms import compared, one, pullback
from jaxninja.check.results import Session
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.pytrees import cast, float_leaves, on_device, with_floats
from jaxninja.check.subject.structure_traced import STOPPING, structure

AXIS = "i"


def ask_for_devices(count: int) -> None:
    """Let a CPU show as `count` devices; too late once JAX has started, then not."""
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        return


def on_devices(session: Session, setup: Setup, setting: Setting) -> None:
    """With the leading axis of the first argument split over all devices there are."""
    count = jax.device_count()
    args = setting.draw(session.options.seed * DRAWS)[1]
    y = outputs(setup, args)
    dy = sized(session, cotangents.ordinary(y, np.random.default_rng(7)))
    mesh = jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,))
    with jax.enable_x64(True):
        args = on_device(cast(setup.hold(args), "float64"))
        _under_jit(session, setup, mesh, args, dy)
        if not _fits(setup, mesh, args):
            text = "shard_map: the rule is not made for the shapes of a device's part"
            session.skip(text)
            return
        if not session.options.linear:
            session.skip("shard_map: declared linear=False")
            return
        for name, nested in (("inside", _inside), ("outside", _outside)):
            _under_shard_map(session, setup, mesh, args, nested, f"grad {name}")


def _under_jit(session: Session, setup: Setup, mesh, args, dy) -> None:
    split = NamedSharding(mesh, PartitionSpec(AXIS))
    placed = (jax.tree.map(lambda a: jax.device_put(a, split), args[0]), *args[1:])
    pull = compiled(pullback(setup))
    name = f"jit over {mesh.size} devices"
    one(session, setup, name, lambda: [a[None] for a in pull(placed, dy)], [(args, dy)])


def _under_shard_map(session: Session, setup: Setup, mesh, args, nested, name) -> None:
    """The rule and JAX's own gradient of the plain forward, in the same program."""
    name = f"shard_map, {name}"
    try:
        expected = compiled(partial(nested, setup.opened, mesh))(args)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        session.skip(f"{name}: the plain forward refuses it ({first})")
        return
    try:
        got = compiled(partial(nested, setup.subject.op, mesh))(args)
    except Exception as error:
        problem = explained(f"the rule of {setup.subject.name} under {name}", error)
        session.find("E-TRANSFORM", problem.sentence, problem.where)
        return
    compared(session, setup, name, got, expected)


def _split(args):
    """Which arrays are split: the first, and what is as long as it (labels, say)."""
    longs = [np.shape(a)[:1] for a in jax.tree.leaves(args[0])]
    return jax.tree.map(lambda a: a.shape[:1] in longs, args)


def _fits(setup: Setup, mesh, args) -> bool:
    """Whether the rule's shapes are right where an argument is a part of itself."""
    split = _split(args)
    part = jax.tree.map(lambda a, s: a[: len(a) // mesh.size] if s else a, args, split)
    try:
        found = structure(setup.subject, part)[0]
    except UserCodeError:  # shard_map will say the same, of the plain forward perhaps
        return True
    return not any(finding.code in STOPPING for finding in found)


def _mapped(part, mesh, args):
    """`part` on each device, its outputs stacked; replicated arrays cast to varying."""
    split = _split(args)
    specs = jax.tree.map(lambda s: PartitionSpec(AXIS) if s else PartitionSpec(), split)

    def cast(a, is_split):
        return a if is_split else jax.lax.pcast(a, AXIS, to="varying")

    return jax.shard_map(
        lambda *args: [a[None] for a in part(*jax.tree.map(cast, args, split))],
        mesh=mesh,
        in_specs=specs,
        out_specs=PartitionSpec(AXIS),
    )


def _weighted(y) -> list:
    """A cotangent made of the output, so that the parts differ."""
    return [jax.numpy.cos(3 * a + 1) for a in y]


def _inside(op, mesh, args) -> list:
    """Each device's gradients of its own part, stacked."""

    def part(*args):
        def f(*floats):
            return float_leaves(op(*with_floats(args, floats)))

        y, pull = jax.vjp(f, *float_leaves(args))
        return pull(_weighted(y))

    return _mapped(part, mesh, args)(*args)


def _outside(op, mesh, args) -> list:
    """Gradients of all parts' outputs together: replicated arguments add up."""
    mapped = _mapped(lambda *args: float_leaves(op(*args)), mesh, args)

    def f(*floats):
        return mapped(*with_floats(args, floats))

    y, pull = jax.vjp(f, *float_leaves(args))
    return list(pull(_weighted(y)))
