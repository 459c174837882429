"""GPT-2 beside PyTorch, where it is installed."""

import jax
import numpy as np
import pytest

from jaxninja.models import gpt2, routes
from jaxninja.models.gpt2 import Gpt2

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gradients_are_pytorchs():
    from experiments.gpt2 import torch_model

    model = Gpt2(50, 16, layers=2, heads=2, embedding=16)
    params = jax.jit(gpt2.init, static_argnums=1)(jax.random.key(0), model)
    ids = jax.random.randint(jax.random.key(1), (2, 16), 0, model.vocabulary)
    labels = ids.at[1, 3:].set(-1)
    (loss, _), grads = jax.jit(routes.value_and_grad("network", model))(
        params, ids, labels
    )
    tensors = torch_model.tensors(params)
    x, y = (torch.tensor(np.array(a)) for a in (ids, labels))
    theirs = torch_model.loss(tensors, x, y, model.heads)
    theirs.backward()
    assert float(loss) == pytest.approx(theirs.item(), rel=1e-6)
    for name, grad in grads.items():
        truth = tensors[name].grad.numpy()
        assert abs(np.asarray(grad) - truth).max() <= 1e-5 * abs(truth).max(), name
