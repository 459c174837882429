"""What PyTorch's functions and methods are in JAX: a table, and how a row is used.

A row has the parameters as PyTorch names them, and the same in JAX, in which `x` is the
array that the method is of. A function `torch.f(x, ...)` is the method `x.f(...)`.
"""

import ast
from collections.abc import Mapping

# name: (parameters, in JAX). `*sizes` is what is left of the positional ones; what is
# not given is left out in JAX too.
SAME = "x"
FORMS: dict[str, tuple[str, str]] = {
    # nothing to do: no array of JAX changes, and no graph is recorded
    **dict.fromkeys(
        ("clone", "detach", "contiguous", "cpu", "cuda", "item", "requires_grad_"),
        ("*unused", SAME),
    ),
    # elementwise
    **{k: ("", f"jnp.{k}(x)") for k in ("exp", "log", "sqrt", "tanh", "abs", "square")},
    **{k: ("", f"jnp.{k}(x)") for k in ("sign", "log10", "log2", "log1p", "expm1")},
    **{k: ("", f"jnp.{k}(x)") for k in ("sinh", "cosh", "sin", "cos")},
    "cumsum": ("dim", "x.cumsum(dim)"),
    "sigmoid": ("", "jax.nn.sigmoid(x)"),
    "relu": ("", "jax.nn.relu(x)"),
    "rsqrt": ("", "x**-0.5"),
    "reciprocal": ("", "1.0 / x"),
    "neg": ("", "-x"),
    "negative": ("", "-x"),
    "pow": ("exponent", "x**exponent"),
    "add": ("other", "x + other"),
    "sub": ("other", "x - other"),
    "subtract": ("other", "x - other"),
    "mul": ("other", "x * other"),
    "multiply": ("other", "x * other"),
    "div": ("other", "x / other"),
    "divide": ("other", "x / other"),
    "true_divide": ("other", "x / other"),
    "maximum": ("other", "jnp.maximum(x, other)"),
    "minimum": ("other", "jnp.minimum(x, other)"),
    "clamp": ("min max", "jnp.clip(x, min, max)"),
    "eq": ("other", "x == other"),
    "ne": ("other", "x != other"),
    "gt": ("other", "x > other"),
    "ge": ("other", "x >= other"),
    "lt": ("other", "x < other"),
    "le": ("other", "x <= other"),
    "masked_fill": ("mask value", "jnp.where(mask, value, x)"),
    "zero": ("", "jnp.zeros_like(x)"),
    "fill": ("value", "jnp.full_like(x, value)"),
    "copy": ("src", "jnp.broadcast_to(src, x.shape)"),
    # sums and their like
    "sum": ("dim keepdim", "x.sum(dim, keepdims=keepdim)"),
    "mean": ("dim keepdim", "x.mean(dim, keepdims=keepdim)"),
    "prod": ("dim keepdim", "x.prod(dim, keepdims=keepdim)"),
    "any": ("dim keepdim", "x.any(dim, keepdims=keepdim)"),
    "all": ("dim keepdim", "x.all(dim, keepdims=keepdim)"),
    "amax": ("dim keepdim", "x.max(dim, keepdims=keepdim)"),
    "amin": ("dim keepdim", "x.min(dim, keepdims=keepdim)"),
    "argmax": ("dim keepdim", "x.argmax(dim, keepdims=keepdim)"),
    "argmin": ("dim keepdim", "x.argmin(dim, keepdims=keepdim)"),
    "logsumexp": ("dim keepdim", "jax.nn.logsumexp(x, dim, keepdims=keepdim)"),
    "softmax": ("dim", "jax.nn.softmax(x, dim)"),
    "log_softmax": ("dim", "jax.nn.log_softmax(x, dim)"),
    # products of matrices
    **dict.fromkeys(("matmul", "mm", "bmm", "mv"), ("other", "x @ other")),
    "dot": ("other", "x @ other"),
    "outer": ("other", "jnp.outer(x, other)"),
    "addmm": ("a b", "x + a @ b"),
    "diag": ("", "jnp.diag(x)"),
    "diag_embed": ("", "x[..., None] * jnp.eye(x.shape[-1])"),
    # shapes
    "t": ("", "x.T"),
    "view": ("*sizes", "x.reshape(*sizes)"),
    "reshape": ("*sizes", "x.reshape(*sizes)"),
    "view_as": ("other", "x.reshape(other.shape)"),
    "reshape_as": ("other", "x.reshape(other.shape)"),
    "ravel": ("", "x.reshape(-1)"),
    "unsqueeze": ("dim", "jnp.expand_dims(x, dim)"),
    "squeeze": ("dim", "jnp.squeeze(x, dim)"),
    "transpose": ("dim0 dim1", "jnp.swapaxes(x, dim0, dim1)"),
    "swapaxes": ("dim0 dim1", "jnp.swapaxes(x, dim0, dim1)"),
    "permute": ("*sizes", "x.transpose(*sizes)"),
    "expand_as": ("other", "jnp.broadcast_to(x, other.shape)"),
    "broadcast_to": ("shape", "jnp.broadcast_to(x, shape)"),
    "repeat": ("*sizes", "jnp.tile(x, (*sizes,))"),
    "tile": ("*sizes", "jnp.tile(x, (*sizes,))"),
    "flip": ("dim", "jnp.flip(x, dim)"),
    "dim": ("", "x.ndim"),
    "numel": ("", "x.size"),
    "nelement": ("", "x.size"),
    # types
    **dict.fromkeys(("float", "double"), ("", "x.astype(float)")),
    **dict.fromkeys(("long", "int"), ("", "x.astype(int)")),
    "bool": ("", "x.astype(bool)"),
    "type_as": ("other", "x.astype(other.dtype)"),
    "numpy": ("", "np.asarray(x)"),
    # reading and writing by index
    "one_hot": ("num_classes", "jax.nn.one_hot(x, num_classes)"),
    "gather": ("dim index", "jnp.take_along_axis(x, index, dim)"),
    "index_select": ("dim index", "jnp.take(x, index, dim)"),
}
# functions that make arrays, or read several
FUNCTIONS: dict[str, tuple[str, str]] = {
    "zeros_like": ("x", "jnp.zeros_like(x)"),
    "ones_like": ("x", "jnp.ones_like(x)"),
    "full_like": ("x fill_value", "jnp.full_like(x, fill_value)"),
    "zeros": ("*sizes", "jnp.zeros((*sizes,))"),
    "ones": ("*sizes", "jnp.ones((*sizes,))"),
    "full": ("size fill_value", "jnp.full(size, fill_value)"),
    "eye": ("n m", "jnp.eye(n, m)"),
    "arange": ("*sizes", "jnp.arange(*sizes)"),
    "tensor": ("data", "jnp.array(data)"),
    "as_tensor": ("data", "jnp.asarray(data)"),
    "einsum": ("equation *sizes", "jnp.einsum(equation, *sizes)"),
    "stack": ("tensors dim", "jnp.stack(tensors, dim)"),
    "cat": ("tensors dim", "jnp.concatenate(tensors, dim)"),
    "concat": ("tensors dim", "jnp.concatenate(tensors, dim)"),
    "where": ("condition a b", "jnp.where(condition, a, b)"),
}
# without which the form says something else
NEEDED = {"one_hot": "num_classes", "softmax": "dim", "where": "b"}
ALIAS = {"axis": "dim", "keepdims": "keepdim", "self": "x", "input": "x"}
DTYPES = {
    **dict.fromkeys(("float", "float32", "float64", "double"), "float"),
    **dict.fromkeys(("long", "int", "int64", "int32"), "int"),
    "bool": "bool",
}
IGNORED = {"device", "requires_grad", "memory_format", "non_blocking"}


def form(text: str, given: Mapping[str, ast.expr]) -> ast.expr:
    """A form with its places filled, those that are not given left out."""
    return _Filled(given).visit(ast.parse(text, mode="eval").body)


class _Filled(ast.NodeTransformer):
    """Names are replaced by what is given for them; `*sizes` by several."""

    def __init__(self, given: Mapping[str, ast.expr]):
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.given.get(node.id, node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        keywords = [k for k in node.keywords if self._is_given(k.value)]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in keywords]
        parts = self._parts(node.args)
        if len(parts) == len(node.args) == 1 and isinstance(parts[0], ast.Starred):
            parts = [parts[0].value]  # as a tuple takes it: x.reshape(y.shape)
        return ast.Call(self.visit(node.func), parts, keywords)

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        parts = self._parts(node.elts)
        if len(parts) == len(node.elts) == 1 and isinstance(parts[0], ast.Starred):
            return parts[0].value  # (*x.shape,) is x.shape
        return ast.Tuple(parts, node.ctx)

    def _parts(self, parts: list[ast.expr]) -> list[ast.expr]:
        """Those that are given, each filled; in place of *sizes all of them."""
        found: list[ast.expr] = []
        for part in filter(self._is_given, parts):
            new = self.visit(part)
            several = isinstance(new, ast.Starred) and isinstance(new.value, ast.Tuple)
            found += new.value.elts if several else [new]  # type: ignore[union-attr]
        return found

    def _is_given(self, part: ast.expr) -> bool:
        inner = part.value if isinstance(part, ast.Starred) else part
        known = {"float", "int", "bool", *self.given}
        return not isinstance(inner, ast.Name) or inner.id in known
