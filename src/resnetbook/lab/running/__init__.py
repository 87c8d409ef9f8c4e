"""Experiments: each is a module of this package, found by its name, run by `run` or by `resnetbook run NAME`.

How to add one: write `experiments/<section>/<name>.py`. Its docstring says what is compared, which budget is equal, and what
each metric is; it ends in one object called `EXPERIMENT`.

```python
@dataclass(frozen=True)
class Settings:                        # numbers, strings, booleans, tuples of these; `data` names the data set
    data: str = "digits"
    depths: tuple[int, ...] = (8, 20)
    epochs: int = 8

def arms(settings):                    # the things compared, in the order of the tables
    return [f"{kind}-{depth}" for depth in settings.depths for kind in ("plain", "residual")]

def run(settings, arm, seed, context): # one arm, one seed: a dict of numbers and lists of numbers
    torch.manual_seed(seed)            # equal for all arms, so that seeds are paired
    ...
    rate = context.tuned["learning_rate"]
    history = fit(model, train, settings=training.Settings(learning_rate=rate, seed=seed, device=context.device),
                  checkpoint=context.checkpoint, progress=context.progress)
    return {"train_loss": history.last["train_loss"], "curve": list(history["train_loss"])}

def tune(settings, arm, context):      # optional: one run for each arm, before its seeds, with a seed of its own
    return _shared.best_validation_rate(build, data, (0.01, 0.03, 0.1), epochs=settings.epochs, ...)

EXPERIMENT = Experiment(name="degradation", title="...", claims=("C03",), scales={"live": Settings(...), ...},
                        arms=arms, run=run, tune=tune, code=("resnetbook.principle.twins",))
```

Records: the settings of a scale, and the `variants` that it lists for other data sets, make the book's records in
`data/results`. A run with other settings, and a live one, is written to `runs/` and never takes their place.

The functions stand at the top level of the module, since other processes import them. Import torch inside them:
then `resnetbook experiments` lists without loading it. Each job (arm, seed) gets a checkpoint of its own, from which `fit`
goes on after a kill; with several trainings in a job use `context.checkpoint_for("first")` for each.
"""

from resnetbook.lab.running.code import code_hash
from resnetbook.lab.running.experiment import Context, Experiment
from resnetbook.lab.running.runner import ExperimentFailed, record_path, run
from resnetbook.lab.running.verifying import Check, verify

__all__ = ["Check", "Context", "Experiment", "ExperimentFailed", "code_hash", "record_path", "run", "verify"]
