"""A pytest plugin: run each proof as it is, then again with its object returning zeros of the right shape.

`MUTATIONS` holds a JSON object from test id (without parameters) to the dotted path of the object, `MUTATION_REPORT` the
file that receives one line of JSON for each run: test, whether it passed as it is, and what the mutant's run raised.
"""

import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import pytest
from hypothesis import Phase, settings

# One failing example is enough here: no shrinking, and the exception as it is.
settings.register_profile(
    "mutants", phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False, database=None
)
settings.load_profile("mutants")
FAILED: set[str] = set()  # tests whose mutant has failed; their further parameters are left out


def zeros_of(value, integers):
    """Return a value of the same form with every number zero; whole numbers only if `integers`."""
    import numpy as np
    import torch

    if isinstance(value, torch.nn.Module):
        form = type(value).forward
        value.forward = lambda *args, **named: zeros_of(form(value, *args, **named), integers)
        return value
    if isinstance(value, torch.Tensor):
        return torch.zeros_like(value)
    if isinstance(value, np.ndarray):
        return np.zeros_like(value) if value.dtype.kind == "f" else value
    if isinstance(value, float) or (integers and isinstance(value, int) and not isinstance(value, bool)):
        return type(value)(0)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {
            field.name: zeros_of(getattr(value, field.name), integers) for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changes)
    if isinstance(value, dict):
        return {key: zeros_of(each, integers) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(zeros_of(each, integers) for each in value)
    return value


def resolve(dotted):
    """Return (module, name, object) for a dotted path."""
    module, _, name = dotted.rpartition(".")
    return importlib.import_module(module), name, getattr(importlib.import_module(module), name)


def mutants_of_class(found) -> Iterator:
    """Yield patches that zero what a class gives: `forward` of a module, else its public properties and methods."""
    import torch

    if issubclass(found, torch.nn.Module):
        forward = found.forward
        yield mock.patch.object(
            found, "forward", lambda *args, **named: zeros_of(forward(*args, **named), False)
        )
        return
    for name, member in vars(found).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            zero = property(lambda self, get=member.fget: zeros_of(get(self), False))
        elif callable(member):
            zero = lambda *args, call=member, **named: zeros_of(call(*args, **named), False)  # noqa: E731
        else:
            continue
        yield mock.patch.object(found, name, zero)


@contextmanager
def mutated(dotted):
    """Inside, the object returns zeros wherever it was imported."""
    _, name, found = resolve(dotted)
    with ExitStack() as stack:
        if isinstance(found, type):
            for patch in mutants_of_class(found):
                stack.enter_context(patch)
        else:
            replacement = lambda *args, **named: zeros_of(found(*args, **named), True)  # noqa: E731
            for module in list(sys.modules.values()):
                if getattr(module, "__dict__", {}).get(name) is found:
                    stack.enter_context(mock.patch.object(module, name, replacement))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run the test, then its mutant."""
    test = pyfuncitem.nodeid.split("[")[0]
    if test in FAILED:
        pytest.skip("its mutant has failed already")
    row = {"test": test, "passed": False, "raised": None, "message": ""}
    try:
        result = yield
        row["passed"] = True
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        try:
            with mutated(json.loads(os.environ["MUTATIONS"])[test]):
                pyfuncitem.obj(**arguments)
        except BaseException as error:  # a proof may raise anything; the caller judges what it was
            row["raised"] = [kind.__name__ for kind in type(error).__mro__]
            row["message"] = str(error)[:300]
            FAILED.add(test)
        return result
    finally:
        with open(os.environ["MUTATION_REPORT"], "a", encoding="utf-8") as report:
            report.write(json.dumps(row) + "\n")
