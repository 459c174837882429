"""GPT-2's tensors by Hugging Face's names: there and back, and what is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import gpt2
from jaxninja.models.gpt2 import Gpt2
from jaxninja.models.language import gpt2_weights
from jaxninja.models.language.gpt2_weights import WeightsError

MODEL = Gpt2(11, 8, layers=2, heads=3, embedding=6, multiple=4)


@pytest.fixture(scope="module")
def params():
    table = gpt2.table(MODEL)
    draw = np.random.default_rng(0)
    return {
        name: draw.normal(size=shape).astype(np.float32)
        for name, (shape, _, _) in table.items()
    }


def test_there_and_back(params):
    """Rows that pad wte are left out, and come back as zeros."""
    tensors = gpt2_weights.exported(params, MODEL)
    assert len(tensors) == 4 + 12 * MODEL.layers
    assert tensors["transformer.h.1.mlp.c_fc.weight"].shape == (6, 24)
    back = gpt2_weights.imported(tensors, MODEL)
    assert back.keys() == params.keys()
    for name, p in params.items():
        rows = MODEL.vocabulary if name == "wte" else None
        np.testing.assert_array_equal(back[name][:rows], p[:rows])
        assert back[name].shape == p.shape


def test_sizes_are_read_off(params):
    tensors = gpt2_weights.exported(params, MODEL)
    bare = replace(MODEL, multiple=1)
    assert gpt2_weights.sizes(tensors, gpt2_weights.config(MODEL)) == bare
    assert gpt2_weights.sizes(tensors) == replace(bare, heads=1)


def test_masks_and_a_second_output_layer_are_let_be(params):
    """As OpenAI's own file has them, which bears no prefix either."""
    tensors = gpt2_weights.exported(params, MODEL)
    bare = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    bare["h.0.attn.bias"] = np.tril(np.ones((1, 1, 8, 8), np.float32))
    bare["lm_head.weight"] = bare["wte.weight"]
    back = gpt2_weights.imported(bare, replace(MODEL, context=5))
    np.testing.assert_array_equal(back["wpe"], params["wpe"][:5])
    bare["lm_head.weight"] = 2 * bare["wte.weight"]
    with pytest.raises(WeightsError, match=r"lm_head.weight is another"):
        gpt2_weights.imported(bare, MODEL)


def test_a_wrong_tensor_is_named(params):
    tensors = gpt2_weights.exported(params, MODEL)
    name = "transformer.h.1.ln_2.bias"
    rest = {key: t for key, t in tensors.items() if key != name}
    with pytest.raises(WeightsError, match=r"h.1.ln_2.bias is missing, expected \[6\]"):
        gpt2_weights.imported(rest, MODEL)
    with pytest.raises(WeightsError, match=r"h.2.ln_2.bias is none of GPT-2's"):
        gpt2_weights.imported({**tensors, "h.2.ln_2.bias": np.ones(6)}, MODEL)
    with pytest.raises(WeightsError, match=r"ln_2.bias is \[5\], expected \[6\]"):
        gpt2_weights.imported({**tensors, name: np.ones(5)}, MODEL)
    with pytest.raises(
        WeightsError, match=r"wpe.weight is \[8, 6\], expected \[9, 6\]"
    ):
        gpt2_weights.imported(tensors, replace(MODEL, context=9))
    with pytest.raises(WeightsError, match=r"wte.weight is missing"):
        gpt2_weights.sizes({"W1": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda a: a.astype(np.int32), "is int32, expected floats"),
        (lambda a: a * np.nan, "holds a number that is not finite"),
        (lambda a: a * 1e300, "holds a number that is not finite in float32"),
    ],
)
def test_weights_are_finite_floats(params, made, told):
    tensors = gpt2_weights.exported(params, MODEL)
    name = "transformer.ln_f.weight"
    wide = tensors[name].astype(np.float64)
    with pytest.raises(WeightsError, match=rf"tensor ln_f.weight {told}"):
        gpt2_weights.imported({**tensors, name: made(wide)}, MODEL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_head", "x"),
        ("n_head", None),
        ("n_head", 0),
        ("layer_norm_epsilon", float("nan")),
        ("activation_function", "relu"),
        ("model_type", "llama"),
        ("scale_attn_weights", False),
        ("n_layer", 3),
        ("vocab_size", 12),
    ],
)
def test_a_config_of_another_network_is_refused(params, name, value):
    tensors = gpt2_weights.exported(params, MODEL)
    beside = gpt2_weights.config(MODEL) | {name: value}
    with pytest.raises(WeightsError, match=rf"^{name} of config.json is .*, expected"):
        gpt2_weights.sizes(tensors, beside)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("largest", ["1GB", "3KB"])  # of a file: one, or several
def test_logits_are_those_of_transformers(tmp_path, largest):
    """Their model, random and small, and ours with its weights; ours opened by them."""
    transformers = pytest.importorskip("transformers", reason="it is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from jaxninja.storage import weights

    config = transformers.GPT2Config(
        vocab_size=13, n_positions=8, n_embd=12, n_layer=2, n_head=3
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.1 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path / "a", max_shard_size=largest)
    tensors, read = weights.load(tmp_path / "a")
    model = gpt2_weights.sizes(tensors, read)
    params = gpt2_weights.imported(tensors, model)
    ids = jnp.array([[3, 1, 4, 1, 5]])
    given = torch.tensor(ids.tolist())
    with torch.no_grad():
        truth = theirs(given).logits.numpy()
    ours = jax.jit(lambda p: gpt2.apply(p, {}, ids, model))(params)
    np.testing.assert_allclose(ours, truth, atol=1e-5)
    weights.save(
        tmp_path / "b", gpt2_weights.exported(params, model), gpt2_weights.config(model)
    )
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "b").eval()
    with torch.no_grad():
        np.testing.assert_allclose(again(given).logits.numpy(), truth, atol=1e-5)
