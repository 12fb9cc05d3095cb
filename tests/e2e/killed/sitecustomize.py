"""Python runs this at its start where PYTHONPATH leads here: trainings then die at steps of a plan, by SIGKILL.

The plan is the JSON file that KILL_PLAN names: ``every``, the steps between checkpoints, and ``steps``, for each
training (by the name of its checkpoint) those after which its process is killed, ascending, each once. What happens
goes to ``<training>.txt`` beside the plan, a line each: ``from 0`` (steps that were done when a process began its
first), ``killed 231``, ``from 200``, ...
"""

import json
import os
import signal
import sys
from importlib.machinery import PathFinder
from pathlib import Path

PLAN = os.environ.get("KILL_PLAN")


class Finder:
    """Finds the module of the trainings as Python does, and has it disturbed as soon as it is loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "hedgerow.nets.train":
            return None
        spec = PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def load_and_disturb(module):
            load(module)
            disturb(module, Path(PLAN))

        spec.loader.exec_module = load_and_disturb
        return spec


def disturb(module, path):
    """Have each training kill its process as the plan at `path` says."""
    plan, fit, train_step = json.loads(path.read_text()), module.fit, module._Run.train_step

    def fit_and_die(*args, checkpoint, **kwargs):
        name = Path(checkpoint).stem
        journal = path.with_name(f"{name}.txt")
        journal.touch()
        # each process that was killed has left two lines
        deaths = len(journal.read_text().splitlines()) // 2
        last, begun = plan["steps"][name][deaths : deaths + 1], []

        def note(word, step):
            with open(journal, "a") as file:
                file.write(f"{word} {step}\n")

        def step_and_die(run, *batch):
            if not begun:
                begun.append(run.step)
                note("from", run.step)
            train_step(run, *batch)
            if run.step in last:
                note("killed", run.step)
                os.kill(os.getpid(), signal.SIGKILL)

        module._Run.train_step = step_and_die
        often = {"checkpoint_steps": plan["every"], "checkpoint_seconds": 0.0}
        return fit(*args, checkpoint=checkpoint, **often, **kwargs)

    module.fit = fit_and_die


if PLAN:
    sys.meta_path.insert(0, Finder)
