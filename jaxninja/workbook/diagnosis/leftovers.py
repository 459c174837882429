"""What is written, but not in the way of JAX: PyTorch's habits, and changes in place.

Most learners come from the lecture's notebook, which is PyTorch's.
"""

import ast
from collections.abc import Iterable, Iterator

from jaxninja.workbook.hints import Hint
from jaxninja.workbook.texts.languages import phrase, sentence

# method -> what to write
METHODS = {
    "view": "x.reshape(...)",
    "clone": "dy = dx is enough: arrays do not change",
    "detach": "leave it out: nothing is recorded",
    "contiguous": "leave it out",
    "unsqueeze": "x[:, None], or x[None]",
    "t": "x.T",
    "permute": "x.transpose(...)",
    "expand": "jnp.broadcast_to(x, shape)",
    "expand_as": "jnp.broadcast_to(x, y.shape)",
    "float": "x.astype(jnp.float32)",
    "double": "x.astype(jnp.float32)",
    "long": "x.astype(jnp.int32)",
    "pow": "x**k",
    "mul": "x * y",
    "div": "x / y",
    "add": "x + y",
    "sub": "x - y",
    "neg": "-x",
    "mm": "x @ y",
    "bmm": "x @ y",
    "matmul": "x @ y",
    "sigmoid": "jax.nn.sigmoid(x)",
    "softmax": "jax.nn.softmax(x, axis)",
    "log_softmax": "jax.nn.log_softmax(x, axis)",
    "relu": "jax.nn.relu(x)",
    "reciprocal": "1 / x",
    "add_": "x = x + y",
    "sub_": "x = x - y",
    "mul_": "x = x * y",
    "div_": "x = x / y",
    "rsqrt": "jax.lax.rsqrt(x)",
    "abs": "jnp.abs(x)",
    "tril": "jnp.tril(x)",
    "size": "x.shape[0]",
    "masked_fill": "jnp.where(mask, y, x)",
    "exp": "jnp.exp(x)",
    "log": "jnp.log(x)",
    "tanh": "jnp.tanh(x)",
    "sqrt": "jnp.sqrt(x)",
    "numel": "x.size",
    "scatter_add_": "x.at[...].add(y)",
    "index_add_": "x.at[...].add(y)",
    "scatter_": "x.at[...].set(y)",
}
FIELDS = {
    "indices": "x.argmax(1): x.max(1) gives the maxima alone",
    "values": "x.max(1): it gives the maxima alone",
}
KEYWORDS = {
    "keepdim": "it is keepdims=",
    "dim": "it is axis=",
    "num_classes": "jax.nn.one_hot(x, size)",
}
LIBRARIES = {"torch": "jnp has nearly all of it by the same name", "F": "see jax.nn"}
OPERATORS: dict[type[ast.operator], str]
OPERATORS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply"}
OPERATORS |= {ast.Div: "divide", ast.Pow: "power"}
CHANGES = {"set", "add", "subtract", "multiply", "divide", "min", "max", "power"}


def foreign(nodes: Iterable[ast.AST]) -> Iterator[Hint]:
    """PyTorch's own in these statements, in the order of their lines."""
    found = [
        hint for node in nodes for part in ast.walk(node) for hint in _foreign(part)
    ]
    yield from sorted(found, key=lambda hint: hint.line or 0)


def _foreign(node: ast.AST) -> Iterator[Hint]:
    line = getattr(node, "lineno", 0)
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=library))) if (
            library in LIBRARIES
        ):
            old = f"{library}.{node.func.attr}"
            yield _torch(line, old, LIBRARIES[library])
        case ast.Call(func=ast.Attribute(value=whose, attr=method)):
            if method in METHODS and not (_is_module(whose) or _is_at(whose)):
                yield _torch(line, f".{method}()", METHODS[method])
        case ast.Attribute(attr=field) if field in FIELDS:
            yield _torch(line, f".{field}", FIELDS[field])
        case ast.Subscript(slice=index):
            for part in index.elts if isinstance(index, ast.Tuple) else [index]:
                if isinstance(part, ast.Call) and ast.unparse(part.func) == "range":
                    text = ast.unparse(part)
                    new = sentence("index", text=f"jnp.a{text}")
                    yield _torch(line, f"[{text}]", new)
    if isinstance(node, ast.keyword) and node.arg in KEYWORDS:
        yield _torch(node.value.lineno, f"{node.arg}=", KEYWORDS[node.arg])


def _is_at(node: ast.expr) -> bool:
    """`x.at[i]`, whose methods are JAX's."""
    whole = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(whole, ast.Attribute) and whole.attr == "at"


def _is_module(node: ast.expr) -> bool:
    return ast.unparse(node).split(".")[0] in ("np", "jnp", "jax", "math")


def _torch(line: int, old: str, new: str) -> Hint:
    return Hint("torch", {"line": line, "old": old, "new": phrase(new)}, line)


def dropped(nodes: Iterable[ast.stmt]) -> Iterator[Hint]:
    """`x.at[i].set(y)` as a statement: its result goes nowhere."""
    for node in nodes:
        for part in ast.walk(node):
            match part:
                case ast.Expr(
                    value=ast.Call(
                        func=ast.Attribute(
                            attr=method,
                            value=ast.Subscript(value=ast.Attribute(attr="at") as at),
                        )
                    )
                ) if method in CHANGES:
                    root = ast.unparse(at.value)
                    yield _changed("dropped", part.lineno, root, method)


def in_place(nodes: Iterable[ast.stmt]) -> Iterator[Hint]:
    """`x[i] = y` and `x[i] += y`, which arrays of JAX refuse."""
    for node in nodes:
        for part in ast.walk(node):
            match part:
                case ast.Assign(targets=[ast.Subscript(value=whole)]):
                    root = ast.unparse(whole)
                    yield _changed("in place", part.lineno, root, "set")
                case ast.AugAssign(target=ast.Subscript(value=whole), op=op):
                    root, method = ast.unparse(whole), OPERATORS.get(type(op), "set")
                    yield _changed("in place", part.lineno, root, method)


def unfinished(nodes: Iterable[ast.stmt]) -> Iterator[Hint]:
    """`x.at[i]` alone, which is no array before a method changes it."""
    for node in nodes:
        called = {n.value for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        for part in ast.walk(node):
            match part:
                case ast.Subscript(value=ast.Attribute(attr="at")) if (
                    part not in called
                ):
                    facts = {"line": part.lineno, "text": ast.unparse(part)}
                    yield Hint("unfinished", facts, part.lineno)


def exchanged(nodes: Iterable[ast.stmt]) -> Iterator[Hint]:
    """`x.transpose(1, 2)`, which exchanges two axes in PyTorch."""
    for node in nodes:
        for part in ast.walk(node):
            match part:
                case ast.Call(func=ast.Attribute(attr="transpose"), args=[one, other]):
                    axes = f"({ast.unparse(one)}, {ast.unparse(other)})"
                    yield _torch(part.lineno, f".transpose{axes}", f"x.swapaxes{axes}")


def powers(nodes: Iterable[ast.stmt]) -> Iterator[Hint]:
    """`x ^ 2`, which is a power on paper."""
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitXor):
                yield Hint("xor", {"line": part.lineno}, part.lineno)


def _changed(code: str, line: int, root: str, method: str) -> Hint:
    return Hint(code, {"line": line, "root": root, "method": method}, line)
