"""The books of a run: metrics, checkpoints, and at the end the result."""

import math
from pathlib import Path
from typing import Any

from jaxninja.storage import atomic, checkpoint, run_folder
from jaxninja.training.evaluation import mean_loss
from jaxninja.training.machine.rate import Pace, in_words
from jaxninja.training.monitor import observe
from jaxninja.training.optimizers import schedule
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Metadata, Metric, Result
from jaxninja.training.steps import Chunk, Diverged, Feed, State

TEXTS = "\n---\n"  # between the texts of samples.txt; items have a line each


class Record:
    """Writes down what a run does, and owns what only the books need.

    A log interval that a checkpoint cuts in two is carried over in its metadata, so a
    resumed run writes the same losses as one that was never stopped.
    """

    def __init__(self, run: Run, metadata: Metadata | None = None) -> None:
        fresh = {"seconds": 0.0, "loss_sum": 0.0, "loss_count": 0}
        carried: Any = metadata or fresh
        self.run = run
        self.seconds: float = carried["seconds"]  # training, compilation left out
        self._sum: float = carried["loss_sum"]  # of the losses since the last line
        self._count: int = carried["loss_count"]
        self._lr = schedule(run.config)
        self._start = (run.step, self.seconds)
        self.pace: Pace | None = None  # of a model that says what a step costs
        self._said: int | None = None  # the last step of which the pace was told
        self._diagnosed: int | None = None  # the last step in diagnostics.jsonl
        self._before: tuple[State, int] | None = None  # where the last chunk began

    @property
    def rate(self) -> float:
        """Training steps per second of this process."""
        step, seconds = self._start
        return (self.run.step - step) / max(self.seconds - seconds, 1e-9)

    def add(self, chunk: Chunk) -> list[str]:
        """Take over the state after a chunk, and write whatever is due there.

        Returns:
            Lines for a person, about twenty for a run: the pace since the last line of
            metrics.jsonl, if there is a new one and the model says what a step costs.
        """
        run, config = self.run, self.run.config
        if chunk.before is not None:
            self._before = (chunk.before, run.step)
        run.state, run.step = chunk.state, chunk.step
        self.seconds += chunk.seconds
        # A sum of float32 losses is exact in float64, wherever the chunks end.
        self._sum += float(chunk.losses.sum(dtype="float64"))
        self._count += len(chunk.losses)
        evaluates = self._due(config.eval_every)
        improved, lines = False, len(run.metrics)
        if evaluates or self._due(config.log_every):
            improved = self._write_line(self._validate() if evaluates else None)
        if (improved and config.keep_best) or self._due(config.checkpoint_every):
            self.save()
        if improved and config.keep_best:
            run_folder.mark_best(run.path, run.step)
        return self._pace_in_words() if len(run.metrics) > lines else []

    def _pace_in_words(self) -> list[str]:
        step, often = self.run.step, self.run.config.steps // 20
        if self.pace is None or step < (self._said or -often) + often:
            return []
        self._said = step
        return [in_words(self.run.metrics[-1])]

    def diagnose(self, feed: Feed) -> bool:
        """A line of diagnostics.jsonl, if one is due at this step and not there yet.

        Returns:
            Was one written?
        """
        every = self.run.config.diagnose
        due = bool(every) and self._due(every)
        return due and self.diagnose_at(self.run.state, self.run.step, feed)

    def diagnose_at(self, state: State, step: int, feed: Feed) -> bool:
        """A line of diagnostics.jsonl for a state, unless this step has one."""
        run, path = self.run, self.run.path / "diagnostics.jsonl"
        if self._diagnosed is None:
            before = run_folder.read_metrics(path)
            self._diagnosed = int(before[-1]["step"]) if before else -1
        if step <= self._diagnosed:
            return False
        line = observe(run.config, run.model, state, feed(step), step)
        run_folder.append_metrics(path, line)
        self._diagnosed = step
        return True

    def restore_best(self) -> None:
        """Mark this checkpoint as best if a crash came between saving and marking."""
        run = self.run
        at_a_line = bool(run.metrics) and run.metrics[-1]["step"] == run.step
        if run.config.keep_best and at_a_line:
            best = min(map(_loss, run.metrics))
            if _loss(run.metrics[-1]) == best < math.inf:
                run_folder.mark_best(run.path, run.step)

    def save(self) -> None:
        """A checkpoint of this step; older ones beyond `keep` are deleted."""
        run = self.run
        metadata = {
            "step": run.step,
            "config": run.config.to_dict(),
            "seconds": self.seconds,
            "loss_sum": self._sum,
            "loss_count": self._count,
            "vocabulary": run.vocabulary.sha256,
        }
        path = run_folder.checkpoint_path(run.path, run.step)
        checkpoint.save(path, run.state, metadata)
        run_folder.keep_last(run.path, run.config.keep)

    def from_good(self, diverged: Diverged) -> Diverged:
        """The same, from where the last chunk began if none of the steps was good.

        What the last step left has no finite loss then: it is not a state to save.
        """
        if diverged.start < diverged.step or self._before is None:
            return diverged
        return Diverged(*self._before, diverged.step)

    def go_back(self, diverged: Diverged) -> None:
        """To the last good state, which is saved in place of what came after it."""
        run = self.run
        run_folder.drop_after(run.path, diverged.start)
        run.state, run.step = diverged.state, diverged.start
        self.save()

    def finish(self) -> None:
        """result.json, and then what may fail without a loss: samples.txt, loss.png.

        Raises:
            Diverged: a loss of the trained network is not finite.
        """
        self.write_result()
        for name, write in (("samples.txt", self._samples), ("loss.png", self._plot)):
            try:
                write(self.run.path / name)
            except Exception as error:  # whatever it is, the result is there
                said = str(error).splitlines() or [""]
                problem = f"{name} was not written: {type(error).__name__}: {said[0]}"
                self.run.problems.append(problem)

    def _samples(self, path: Path) -> None:
        run, config = self.run, self.run.config
        if config.samples:
            drawn = run.sample(config.samples, seed=config.seed)
            between = TEXTS if config.reads_text else "\n"
            atomic.write_text(path, between.join(drawn) + "\n")

    def _plot(self, path: Path) -> None:
        from jaxninja import plots  # matplotlib: only once a run is at its end

        run, config = self.run, self.run.config
        title = ", ".join([*config.trained, f"route {Path(config.route).stem}"])
        plots.loss_curve(run.metrics, run.result, title, path, config.normalises)

    def write_result(self) -> None:
        """result.json: the losses, with batchnorm calibrated, and the speed.

        Raises:
            Diverged: a loss is not finite.
        """
        run, config = self.run, self.run.config
        losses = run.losses()
        if not all(math.isfinite(loss) for loss in losses.values() if loss is not None):
            raise self.from_good(Diverged(run.state, run.step, run.step))
        run.result = Result(
            **losses,
            steps_per_second=run.step / max(self.seconds, 1e-9),
            seconds=self.seconds,
            steps=run.step,
            parameters=sum(p.size for p in run.params.values()),
            route=config.route,
            data=config.data,
            model=config.model,
        )
        atomic.write_json(run.path / "result.json", run.result)

    def _due(self, every: int) -> bool:
        return self.run.step % every == 0 or self.run.step == self.run.config.steps

    def _validate(self) -> float:
        run, val = self.run, self.run.dataset.val
        return mean_loss(run.params, run.state.statistics, val.x, val.y, run.model)

    def _write_line(self, val_loss: float | None) -> bool:
        """Append to metrics.jsonl; True if this is the best validation loss so far."""
        run = self.run
        best = min((_loss(m) for m in run.metrics), default=math.inf)
        rate: Any = self._lr(run.step - 1)
        line = Metric(
            step=run.step,
            lr=float(f"{rate:.6g}"),  # 0.1, not 0.10000000149
            train_loss=self._sum / self._count,
            val_loss=val_loss,
            seconds=self.seconds,
        )
        if self.pace is not None:
            line.update(self.pace.at(self._rate_since_line()))  # type: ignore[call-arg]
        self._sum, self._count = 0.0, 0
        run.metrics.append(line)
        run_folder.append_metrics(run.path / "metrics.jsonl", dict(line))
        return _loss(line) < best

    def _rate_since_line(self) -> float:
        """Steps a second since the last line of metrics.jsonl."""
        last: Any = self.run.metrics[-1] if self.run.metrics else {}
        taken = self.run.step - last.get("step", 0)
        return taken / max(self.seconds - last.get("seconds", 0.0), 1e-9)


def _loss(line: Metric) -> float:
    loss = line["val_loss"]
    return loss if loss is not None and math.isfinite(loss) else math.inf
