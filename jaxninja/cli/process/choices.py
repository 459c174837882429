"""Options of a few values: None is not among those that can be given.

An option that is None was not given, or the model at hand has none such; there is
nothing to ask for by that name.
"""

from typing import Annotated, Literal, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

RunFolder = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
CHOICES = ConstructorRegistry()  # for tyro.cli(registry=...)


@CHOICES.primitive_rule
def one_of_a_few(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """How `Literal[...] | None`, the texts of which are given, is read and shown."""
    kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
    either = len(kinds) == 1 and type(None) in get_args(info.type)
    if not either or get_origin(kinds[0]) is not Literal:
        return None
    values = {str(value): value for value in get_args(kinds[0])}
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join(values) + "}",
        instance_from_str=lambda given: values[given[0]],
        is_instance=lambda value: value is None or value in values.values(),
        str_from_instance=lambda value: [str(value)],
        choices=tuple(values),
    )
