"""Python runs this at its start where PYTHONPATH leads here: trainings then die at steps of a plan, by SIGKILL.

The plan is the JSON file that KILL_PLAN names: for each training (by the name of its checkpoint) the steps after which
its process is killed, ascending, each once. What happens goes to ``<training>.txt`` beside the plan, a line each:
``from 0`` (steps done before the first of this process), ``killed 231``, ``from 200``, ...
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
            disturb(module._Run, Path(PLAN))

        spec.loader.exec_module = load_and_disturb
        return spec


def disturb(run, path):
    """Have a training (class `run`) kill its process after the steps that the plan at `path` names."""
    plan, train_step, begun = json.loads(path.read_text()), run.train_step, set()

    def step_and_die(self, *args, **kwargs):
        name = Path(self.checkpoint).stem
        journal = path.with_name(f"{name}.txt")

        def note(word):
            with open(journal, "a") as file:
                file.write(f"{word} {self.step}\n")

        if name not in begun:
            begun.add(name)
            note("from")
        result = train_step(self, *args, **kwargs)
        deaths = journal.read_text().count("killed")
        if self.step in plan.get(name, [])[deaths : deaths + 1]:
            note("killed")
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    run.train_step = step_and_die


if PLAN:
    sys.meta_path.insert(0, Finder)
