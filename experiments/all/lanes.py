"""Parts under way: one on each core, and alone where the answer is a time.

What a part has of its own while it runs is in results/under_way/NAME/HASH: the output
of each of its commands that has ended, and what the commands themselves keep there. A
part that was stopped goes on from it as long as its code is the same; when the part has
ended the folder is gone.
"""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from experiments.all.parts import KEPT, ROOT, Part
from experiments.all.staleness import Row, digest
from jaxninja.storage import atomic

PATIENCE = 10  # seconds that a command has to end when it is told to
LAST = 20  # lines of what a failed command said


async def run(
    todo: Mapping[str, Part],
    results: Path,
    began: Callable[[str], None],
    ended: Callable[[str, Row], None],
) -> None:
    """All parts: those without times one on each core, then the others alone."""
    _cancelled_by_signals()
    cores: asyncio.Queue[int | None] = asyncio.Queue()
    for core in usable_cores():
        cores.put_nowait(core)

    async def one(name: str, core: int | None = None) -> None:
        began(name)
        ended(name, await run_part(name, todo[name], results, core))

    async def on_a_core(name: str) -> None:
        core = await cores.get()
        await one(name, core)
        cores.put_nowait(core)

    async with asyncio.TaskGroup() as group:
        for name in [n for n, part in todo.items() if not part.timed]:
            group.create_task(on_a_core(name))
    for name in [n for n, part in todo.items() if part.timed]:
        await one(name)


def usable_cores() -> list[int | None]:
    """Numbers of the cores; None for each where a process cannot be kept on one."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return [None] * (os.cpu_count() or 1)


async def run_part(name: str, part: Part, results: Path, core: int | None) -> Row:
    """Run the commands that have not ended yet; the output of all is kept."""
    code = digest(part.code)
    folder = results / "under_way" / name / code
    for old in folder.parent.glob("*"):
        if old != folder:
            shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    status, seconds, texts = 0, 0.0, []
    for n, line in enumerate(part.commands):
        done = folder / f"{n}.json"
        if not done.exists():
            status, ran = await _run_command(line, folder, core)
            if not status:
                atomic.write_text(done, json.dumps(ran))
        found = json.loads(done.read_text()) if done.exists() else ran
        seconds += found["seconds"]
        texts.append(f"$ {line.replace(f'{KEPT}/', '')}\n{found['output']}")
        if status:
            break
    (results / "output").mkdir(exist_ok=True)
    atomic.write_text(results / "output" / f"{name}.txt", "\n".join(texts))
    if not status:
        shutil.rmtree(folder.parent)
    return {"exit": status, "seconds": round(seconds), "code": code}


async def _run_command(line: str, folder: Path, core: int | None) -> tuple[int, Row]:
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    begun = time.perf_counter()
    status = await _process(words(line, folder), out, err, core)
    seconds = time.perf_counter() - begun
    said = err.read_text(errors="replace").splitlines()[-LAST:] if status else []
    output = out.read_text(errors="replace") + "".join(f"{s}\n" for s in said)
    for path in (folder.resolve(), ROOT):  # a page names no folder of this machine
        output = output.replace(f"{path}/", "")
    return status, {"seconds": seconds, "output": output}


def words(line: str, folder: Path) -> list[str]:
    """A command as its user gives it, by this Python and with its folder."""
    given = [word.replace(KEPT, str(folder.resolve())) for word in shlex.split(line)]
    at = given.index("python")  # behind `taskset`, if that is there
    return [*given[:at], sys.executable, *given[at + 1 :]]


async def _process(command: list[str], out: Path, err: Path, core: int | None) -> int:
    """Its exit status; whatever ends the wait ends the process and its children."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with out.open("w") as stdout, err.open("w") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
    try:
        if core is not None:  # before it has threads of its own
            with suppress(ProcessLookupError):  # it has ended already
                os.sched_setaffinity(process.pid, {core})
        return await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _cancelled_by_signals() -> None:
    """As by Ctrl-C, so that no command is left behind; one that is ignored stays so."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
