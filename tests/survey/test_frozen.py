"""What the map holds and what the rules computed cannot be changed by a page that shows it."""

import dataclasses
import inspect

import pytest

from resnetbook.survey import flags, history, intervals, model, outcome, part, records, sample, verdict

CLASSES = {
    found
    for module in (flags, history, intervals, model, outcome, part, records, sample, verdict)
    for _, found in inspect.getmembers(module, inspect.isclass)
    if dataclasses.is_dataclass(found) and found.__module__.startswith("resnetbook.survey")
}


def test_these_are_all():
    assert {"Claim", "Method", "Outcome", "Verdict", "Names", "Record", "FormerVerdict"} <= {
        c.__name__ for c in CLASSES
    }


@pytest.mark.parametrize("kind", sorted(CLASSES, key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_a_field_cannot_be_set(kind):
    made = object.__new__(kind)
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, None)
