"""PyTorch as a peer, where it is installed: value and gradients of the same."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from experiments.gpu.clock import first_line, least, on_gpu
from jaxninja.models.gpt2 import Gpt2


def seconds(make: Callable[..., Callable[[], Any]], *given: Any) -> dict[str, Any]:
    """Least seconds of a call of what `make` makes of PyTorch's module, its device and
    these; or why there is none."""
    try:
        import torch
    except ImportError:
        return {"failed": "PyTorch is not installed"}
    if on_gpu() and not torch.cuda.is_available():
        return {"failed": "needs a GPU, and a PyTorch for it"}
    torch.set_float32_matmul_precision("high" if on_gpu() else "highest")  # as in JAX
    try:
        work = make(torch, "cuda" if on_gpu() else "cpu", *given)
        turn = 0.2 if on_gpu() else 0.02  # a CPU's figures are not kept
        return {"seconds": least(partial(_whole, torch, work), turn)}
    except Exception as error:  # out of memory, say, which is an answer
        return {"failed": first_line(error)}


def _whole(torch: Any, work: Callable[[], Any]) -> None:
    work()
    if on_gpu():
        torch.cuda.synchronize()


def lecture(torch: Any, device: str, params: Any, ids: Any, labels: Any) -> Callable:
    """A step of the lecture's training as PyTorch users write it, an operation after
    the other; `params` in the order of its names below."""
    to = partial(torch.tensor, device=device)
    leaves = [to(np.asarray(p)).requires_grad_() for p in params.values()]
    C, W1, b1, W2, b2, gain, bias = leaves
    x, y = to(np.asarray(ids)).long(), to(np.asarray(labels)).long()

    def step():
        hprebn = C[x].view(len(x), -1) @ W1 + b1
        bnraw = (hprebn - hprebn.mean(0)) / (hprebn.var(0) + 1e-5).sqrt()
        logits = torch.tanh(gain * bnraw + bias) @ W2 + b2
        loss = torch.nn.functional.cross_entropy(logits, y)
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for p, grad in zip(leaves, grads, strict=True):
                p -= 0.1 * grad

    return step


def vocabulary(torch: Any, device: str, arrays: tuple) -> Callable[[], Any]:
    """The last linear layer and the loss: x [N, D], W [D, V], b [V], labels [N]."""
    *floats, labels = (torch.tensor(np.asarray(a), device=device) for a in arrays)
    x, W, b = (a.requires_grad_() for a in floats)

    def work():
        loss = torch.nn.functional.cross_entropy(x @ W + b, labels.long())
        return torch.autograd.grad(loss, (x, W, b))

    return work


def attention(torch: Any, device: str, shape: tuple[int, ...]) -> Callable[[], Any]:
    """Causal, in bfloat16; shape: B, T, H and D."""
    B, T, H, D = shape
    like = {"device": device, "dtype": torch.bfloat16, "requires_grad": True}
    q, k, v = (torch.randn(B, H, T, D, **like) for _ in range(3))

    def work():
        sdpa = torch.nn.functional.scaled_dot_product_attention
        y = sdpa(q, k, v, is_causal=True)
        return torch.autograd.grad(y, (q, k, v), torch.ones_like(y))

    return work


def gpt2(
    torch: Any, device: str, params: Any, ids: Any, labels: Any, model: Gpt2
) -> Callable[[], Any]:
    """Its products in bfloat16 where the model's are; attention is PyTorch's own."""
    from experiments.gpt2 import torch_model

    there = {
        name: p.detach().to(device) for name, p in torch_model.tensors(params).items()
    }
    leaves = {name: p.requires_grad_() for name, p in there.items()}
    x, y = (torch.tensor(np.asarray(a), device=device).long() for a in (ids, labels))
    half = model.dtype == "bfloat16"

    def work():
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = torch_model.loss(leaves, x, y, model.heads, fused=True)
        return torch.autograd.grad(loss, list(leaves.values()))

    return work
