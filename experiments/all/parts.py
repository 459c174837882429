"""What there is to measure: a part for each answer of the index."""

from pathlib import Path
from typing import NamedTuple

from experiments.checker_benchmark.strangers import HALVES

ROOT = Path(__file__).parents[2]
KEPT = "{kept}"  # in a command: a folder of the part's own, there until it has ended
RULES, MODELS = "jaxninja/rules", "jaxninja/models"
TRAINING = (RULES, MODELS, "jaxninja/training", "jaxninja/data")
CHECK = ("jaxninja/check", "jaxninja/jaxpr.py")
BENCH, CHECKER = "experiments/benchmarks", "experiments/checker_benchmark"
BANK = (
    "jaxninja/mutation",
    *(f"{CHECKER}/{file}" for file in ("bank", "field_bugs", "mutants.py", "tasks.py")),
)
GPT2 = (RULES, MODELS, "experiments/gpt2/plain.py", "experiments/gpt2/torch_model.py")
ONE_CORE = "taskset -c 0 "
REPORTING = "checker_benchmark.run --half reporting --processes 1"


class Part(NamedTuple):
    """A question of the index.

    Attributes:
        commands: as a user gives them, one after another.
        code: files and folders of the repository that the answer is of.
        minutes: that it takes: on one core, or on all where it is timed.
        timed: whether the answer is a time; nothing else runs beside it then.
    """

    commands: tuple[str, ...]
    code: tuple[str, ...]
    minutes: float
    timed: bool = False


def _module(
    command: str,
    *code: str,
    minutes: float = 0.5,
    timed: bool = False,
    prefix: str = "",
) -> Part:
    """`python -m experiments.COMMAND`, which is itself a part of what is measured."""
    own = "experiments/" + command.split()[0].replace(".", "/")
    script = own if (ROOT / own).is_dir() else f"{own}.py"
    line = f"{prefix}python -m experiments.{command}"
    return Part((line,), (*code, script), minutes, timed)


def _again(part: Part, *options: str) -> Part:
    """The command of a part once with each of these options."""
    (line,) = part.commands
    return part._replace(commands=tuple(f"{line} {given}" for given in options))


PARTS: dict[str, Part] = {
    "losses": _module(f"losses --runs {KEPT}", *TRAINING, minutes=4),
    "optimizers": _module("optimizers_by_hand", "jaxninja/training/optimizers.py"),
    "makemore": _module(f"makemore --runs {KEPT}", *TRAINING, minutes=10),
    "makemore-peers": _module(
        "makemore_peers", f"{BENCH}/makemore_torch.py", minutes=10
    ),
    "checker": _module(
        f"{REPORTING} --limit 2024 --seeds 11 --peers none --records {KEPT}/r.jsonl",
        *(*CHECK, *BANK, f"{CHECKER}/ours.py"),
        minutes=44,
    ),
    "checker-peers": _module(
        f"{REPORTING} --limit 1012 --seeds 5 --no-ours --records {KEPT}/r.jsonl",
        *(*BANK, f"{CHECKER}/peers.py", f"{CHECKER}/torch_peer.py"),
        minutes=33,
    ),
    "strangers": _again(
        _module(
            "checker_benchmark.strangers.run",
            *(*CHECK, f"{CHECKER}/strangers"),
            minutes=95,
        ),
        *(f"--half {half} --records {KEPT}/{half}.jsonl" for half in HALVES),
    ),
    "gpt2-ten-steps": _module("gpt2.ten_steps", *GPT2, minutes=2),
    "scalars": _module("micrograd.scalars", "jaxninja/engine"),
    "neurons": _module("micrograd.neurons", "jaxninja/engine"),
    "moons": _again(
        _module("micrograd.moons", "jaxninja/engine"),
        *("--seed 0", *(f"--seed {s} --figure {KEPT}/{s}.png" for s in range(1, 5))),
    ),
    "part3": _module("part3_stages", *TRAINING, minutes=3),
    "deep-net": _module("deep_net", *TRAINING, minutes=3),
    "leaks": _module("leaky_abstraction", *TRAINING, minutes=1.5),
    "contrastive-divergence": _module("before_autograd.rbm"),
    "alignment": _module("before_autograd.alignment", RULES),
    "gpt2-shakespeare": _module(
        "gpt2.shakespeare --torch",
        *TRAINING,
        *GPT2,
        minutes=12,
        timed=True,
        prefix=ONE_CORE,
    ),
    "gpt2-memory": _module("gpt2.memory", *GPT2, timed=True, prefix=ONE_CORE),
    "gpt2-speed": _module(
        "gpt2.speed --rounds 3", *GPT2, minutes=1, timed=True, prefix=ONE_CORE
    ),
    "gpt2-cores": _module("gpt2.cores --rounds 3", *GPT2, minutes=3, timed=True),
    "checker-times": _module(
        "checker_benchmark.times --half all", *CHECK, minutes=9, timed=True
    ),
    "checker-large": _module(
        "checker_benchmark.large", *CHECK, timed=True, prefix=ONE_CORE
    ),
    "workbook": Part(
        (f"{ONE_CORE}python experiments/workbook_speed.py",),
        ("jaxninja/workbook", "experiments/workbook_speed.py"),
        minutes=2,
        timed=True,
    ),
    "steps": _module(
        "benchmarks.run",
        *TRAINING,
        *(f"{BENCH}/{f}.py" for f in ("contenders", "limits", "scaling", "sweeps")),
        minutes=7,
        timed=True,
    ),
    "rules": _module("benchmarks.rules --again", RULES, minutes=6, timed=True),
    "blocks": _module(
        "benchmarks.blocks --rounds 3", RULES, minutes=2, timed=True, prefix=ONE_CORE
    ),
    "recurrences": _module("benchmarks.recurrences", RULES, minutes=1.5, timed=True),
    "models": _module(
        *("benchmarks.models", RULES, MODELS, f"{BENCH}/makemore_torch.py"),
        minutes=5,
        timed=True,
    ),
    "engine": _module("engine_speed", "jaxninja/engine", timed=True),
    "diagnose": _module("diagnose_cost", *TRAINING, timed=True),
}
