"""Reading a submission's bytes: what can be saved is saved, and nothing else than `Unreadable` is raised."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.grading.notebook import MAX_BYTES, Unreadable, lean, read

CELL = {
    "cell_type": "code",
    "id": "a",
    "metadata": {"nbgrader": {"grade_id": "ex1"}},
    "source": ["x = 1\n", "y = 2"],
}
BOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [CELL, {**CELL, "source": "z = 3"}]}


def test_sources_are_strings_or_lists() -> None:
    notebook = read(json.dumps(BOOK).encode())
    assert [cell.source for cell in notebook.cells] == ["x = 1\ny = 2", "z = 3"]
    assert notebook.cells[0].grade_id == "ex1"
    assert notebook.notes == ()


def test_the_old_format() -> None:
    old = {
        "nbformat": 3,
        "worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1"], "outputs": []}]}],
    }
    notebook = read(json.dumps(old).encode())
    assert [cell.source for cell in notebook.code] == ["x = 1"]
    assert "format 3" in notebook.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(encoding: str) -> None:
    book = {**BOOK, "cells": [{**CELL, "source": "x = 'é'\r\ny = 1"}]}
    notebook = read(json.dumps(book, ensure_ascii=False).encode(encoding))
    assert notebook.cells[0].source == "x = 'é'\ny = 1"
    assert notebook.notes


@given(st.integers(0, len(json.dumps(BOOK)) - 1))
def test_of_a_file_that_breaks_off_the_whole_cells_are_read(place: int) -> None:
    text = json.dumps(BOOK)
    whole = sum(place >= text.index(mark) + len(mark) for mark in ('"y = 2"]}', '"z = 3"}'))
    if whole == 0:
        with pytest.raises(Unreadable):
            read(text[:place].encode())
    else:
        notebook = read(text[:place].encode())
        assert len(notebook.cells) == whole
        assert "damaged" in notebook.notes[-1]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert read(data).cells


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "cells",
                    "source",
                    "metadata",
                    "cell_type",
                    "nbgrader",
                    "grade_id",
                    "id",
                    "tags",
                    "worksheets",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_json_is_read_or_refused(top: Any) -> None:
    try:
        notebook = read(json.dumps(top).encode())
    except Unreadable:
        return
    for cell in notebook.cells:
        assert isinstance(cell.source, str)
        assert isinstance(cell.grade_id, str)
        assert isinstance(cell.tags, tuple)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"x" * (MAX_BYTES + 1), "limit"),
        (b"\x00\x01", "not a notebook"),
        (b'{"cells": []}', "no cell"),
        (b"[1, 2]", "no cell"),
        (b'{"cells": [' + b"[" * 50_000, "not a notebook"),
        (b"9" * 5000, "not a notebook"),
    ],
)
def test_the_reason_is_given(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(data)


PICTURE = "iVBORw0KGgo" * 1_200_000  # 13 MB
LARGE: dict[str, Any] = {
    "outputs": lambda book: book["cells"][0].update(outputs=[{"data": {"image/png": PICTURE}}]),
    "lines": lambda book: book["cells"][0].update(
        outputs=[{"text": [']}\\"[{' + "." * 200 + "\\n"] * 60_000}]
    ),
    "attachments": lambda book: book["cells"][1].update(
        attachments={f"{k}.png": {"image/png": PICTURE[:400_000]} for k in range(30)}
    ),
    "widgets": lambda book: book["metadata"].update(widgets={"state": {"a": [PICTURE[:400_000]] * 30}}),
    "text": lambda book: book["cells"].append(
        {"cell_type": "markdown", "source": [f"<img src='data:image/png;base64,{PICTURE}'>"], "metadata": {}}
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_never_read_counts_for_nothing(name: str) -> None:
    book = json.loads(json.dumps(BOOK))
    LARGE[name](book)
    data = json.dumps(book).encode()
    assert len(data) > MAX_BYTES
    notebook = read(data)
    assert [cell.source for cell in notebook.code] == ["x = 1\ny = 2", "z = 3"]
    assert len(lean(data)) < 2000


def test_a_large_file_that_breaks_off_within_its_outputs_keeps_the_cells_before() -> None:
    book = json.loads(json.dumps(BOOK))
    LARGE["outputs"]({"cells": book["cells"][1:]})
    notebook = read(json.dumps(book).encode()[:11_000_000])
    assert [cell.source for cell in notebook.cells] == ["x = 1\ny = 2"]


def test_sources_of_any_size_are_no_outputs() -> None:
    book = {**BOOK, "cells": [{**CELL, "source": "#" * (MAX_BYTES // 200)} for _ in range(300)]}
    with pytest.raises(Unreadable, match="without its outputs and pictures"):
        read(json.dumps(book).encode())


KEYS = st.sampled_from(["outputs", "attachments", "widgets", "source", 'say "outputs": [', "\\", "a"])
TEXTS = st.one_of(KEYS, st.text('[]{}":,\\ a', max_size=6))
TREE = st.recursive(
    st.one_of(TEXTS, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def without(value: Any) -> Any:
    """The same on the parsed JSON: lists of outputs, and objects of attachments and widgets, are empty."""
    if isinstance(value, dict):
        empty = {"outputs": [], "attachments": {}, "widgets": {}}
        return {
            k: empty[k] if k in empty and type(v) is type(empty[k]) else without(v) for k, v in value.items()
        }
    return [without(item) for item in value] if isinstance(value, list) else value


@given(TREE, st.sampled_from([None, 1]), st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_nothing_else_is_left_out(value: Any, indent: int | None, ascii_only: bool, encoding: str) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(encoding)
    assert json.loads(lean(data)) == without(value)
