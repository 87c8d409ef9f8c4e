"""Running experiments: what one is, its jobs over processes, the choice of rates, its registration and its record.

How to add one: write `experiments/<section>/<name>.py`. Its docstring says what is compared, what is equal, and what each metric
is; it ends in one object called `EXPERIMENT`. Most train one network for each arm (`lab.fitting`):

```python
@dataclass(frozen=True)
class Settings(fitting.Fitting):       # numbers, strings, booleans, tuples of these; `data` names the data set
    depth: int = 56

def arms(settings):                    # the things compared, in the order of the tables
    return ("plain", "residual")

def network(settings, arm, data):      # the network of an arm; torch's random state decides its weights
    return TwinNet(settings.depth, residual=arm == "residual", num_classes=len(data.classes))

EXPERIMENT = fitting.experiment(__name__, "...", claims=("C03",), network=network, arms=arms,
                                scales={"live": Settings(depth=8, epochs=2, rates=(0.05,)), "quick": Settings()})
```

One that measures more gives `run` as well: a function of (settings, arm, seed, context) that returns a dict of numbers and
lists of numbers; see `Experiment` for that and for `score`, which the choice of a learning rate reads.

Decisions come first: `survey/data/claims/` says how the record will decide, and is committed before the run. The settings of a
scale, and the `variants` that it lists for other data sets, make the book's records in `data/results`, from a clean tree. A run
with other settings, and a live one, is written to `runs/` and never takes their place.

The functions stand at the top level of the module, since other processes import them. Each job (arm, seed) gets a checkpoint
of its own, from which `fit` goes on after a kill; with several trainings in a job use `context.checkpoint_for("first")` for each.
"""

from resnetbook.lab.running.code import code_hash
from resnetbook.lab.running.experiment import Context, Experiment
from resnetbook.lab.running.jobs import ExperimentFailed
from resnetbook.lab.running.runner import record_path, run
from resnetbook.lab.running.verifying import Check, verify

__all__ = ["Check", "Context", "Experiment", "ExperimentFailed", "code_hash", "record_path", "run", "verify"]
