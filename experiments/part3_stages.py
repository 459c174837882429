"""Does each fix of the lecture's Part 3 help here as it does there?

    python -m experiments.part3_stages --data makemore [--steps 200000] [--seeds 1]

The same network, 3 symbols of context, 200 hidden units, trained 200,000 steps from
each stage's initialisation; ours beside the lecture's loss log. The random stream is
another one, so judge by the spread over seeds.
"""

import argparse
import json
import tempfile
from pathlib import Path

import jaxninja
from jaxninja import TrainConfig
from jaxninja.training.progress import Progress

# stage -> (options, the lecture's train and val loss, None where it has none)
STAGES: dict[str, tuple[dict, float | None, float | None]] = {
    "original": ({"init": "original"}, 2.1245, 2.1682),
    "fixed softmax": ({"init": "softmax"}, 2.07, 2.13),
    "fixed saturation": ({"init": "saturation"}, 2.0356, 2.1027),
    "Kaiming": ({"init": "kaiming"}, 2.0377, 2.1070),
    "Xavier": ({"init": "xavier"}, None, None),
    "batchnorm": ({"init": "kaiming", "batchnorm": "hidden"}, 2.0668, 2.1048),
}


def train_stage(stage: str, data: str, steps: int, seed: int, runs: str) -> dict:
    """Losses at the start and the end, and the first and last share of saturation."""
    options = {"batchnorm": "none", **STAGES[stage][0]}
    config = TrainConfig(
        data=data,
        route="rules",
        steps=steps,
        seed=seed,
        lr_drop_at=steps // 2,
        diagnose=max(steps // 2, 1),
        runs=runs,
        keep_best=False,
        name=f"{stage.replace(' ', '-')}-{seed}",
        **options,
    )
    run = jaxninja.train(config, progress=Progress())
    assert run.result is not None
    first, last = run.diagnostics[0], run.diagnostics[-1]
    return {
        "stage": stage,
        "seed": seed,
        "parameters": run.result["parameters"],
        "initial_loss": first["loss"],
        "saturated_first": first["activations"]["h1"]["saturated"],
        "saturated_last": last["activations"]["h1"]["saturated"],
        "train": run.result["train_loss"],
        "val": run.result["val_loss"],
        "clean_val": run.result["clean_val_loss"],
    }


def row(result: dict) -> str:
    """A line of the Markdown table."""
    theirs = STAGES[result["stage"]][1:]
    lecture = [f"{loss:g}" if loss else "" for loss in theirs]
    cells = [
        f"{result['stage']} ({result['seed']})",
        f"{result['parameters']:,}",
        f"{result['initial_loss']:.2f}",
        f"{result['saturated_first']:.1%} / {result['saturated_last']:.1%}",
        *(f"{result[part]:.4f}" for part in ("train", "val", "clean_val")),
        " / ".join(lecture) if theirs[0] else "",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """\
| stage (seed) | parameters | loss at step 0 | saturated at the start / end \
| train | val | clean val | lecture's train / val |
|---|---|---|---|---|---|---|---|"""


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="makemore")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    results = []
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as runs:
        for seed in range(options.seeds):
            for stage in STAGES:
                arguments = (options.data, options.steps, seed, runs)
                results.append(train_stage(stage, *arguments))
                print(row(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return results


if __name__ == "__main__":
    main()
