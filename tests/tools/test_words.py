"""Terms: the page's index and entries, and where a chapter lacks a link."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import prose  # noqa: E402
import words  # noqa: E402

# What DESIGN and the chapters build on; a chapter may link to any of these without looking.
EXPECTED = [
    "batch-normalisation",
    "running-statistics",
    "momentum",
    "warm-up",
    "learning-rate-schedule",
    "weight-decay",
    "receptive-field",
    "roc-area",
    "linear-probe",
    "meta-device",
    "cross-entropy",
    "softmax",
    "relu",
    "stride-and-padding",
    "pooling",
    "shortcut",
    "projection",
    "branch",
    "twin",
    "seed",
    "interval",
    "margin",
    "he-initialisation",
    "signal-and-gradient",
    "effective-rank",
    "ensemble",
    "bottleneck",
    "grouped-convolution",
    "dropout",
    "validation-set",
    "overfitting",
    "epoch-and-step",
    "multiplications",
]
SMALL = """# Words

### Batch normalisation

批归一化 · also: batch norm, BN

Text.

### Norm

范数

### Record

记录 · as in: quick record

### Stride and padding

步长与填充 · also: stride, padding
"""
KNOWN = words.terms(SMALL)
LINK = "../../book/words_and_symbols.md#"


def notebook(*cells: str) -> dict:
    return {
        "cells": [
            {"cell_type": "markdown", "id": str(n), "metadata": {}, "source": source}
            for n, source in enumerate(cells)
        ]
    }


def missing(*cells: str) -> list[tuple[str, str]]:
    found = words.unlinked(prose.paragraphs(notebook(*cells)), KNOWN)
    return [(each.term.anchor, each.paragraph.text[each.start : each.end]) for each in found]


# --- the page ---------------------------------------------------------------------------------------------


def test_every_entry_is_in_the_index_and_in_order() -> None:
    text = words.PAGE.read_text("utf-8")
    index = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| (.+?) \|$", text, re.M)
    *rows, last = index
    assert last[1] == "symbols"
    assert rows == sorted(rows, key=lambda row: row[0].lower())
    known = {term.anchor: term for term in words.terms()}
    assert {anchor: chinese for _, anchor, chinese in rows} == {a: t.chinese for a, t in known.items()}
    assert all(words.slug(name) == anchor for name, anchor, _ in rows)


def test_the_promised_anchors_are_there() -> None:
    assert set(EXPECTED) - {term.anchor for term in words.terms()} == set()


def test_an_entry_is_half_a_page_and_no_word_has_two() -> None:
    text = words.PAGE.read_text("utf-8")
    for entry in re.split(r"^#{2,3} ", text, flags=re.M)[1:]:
        assert len(entry.split()) <= 220, entry.split("\n")[0]
    every = [word.lower() for term in words.terms() for word in term.words]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("page", "message"),
    [("### Norm\n\nThe length.", "Norm: 'The length.'"), ("### Norm\n\n范数 · see: x", "'see: x'")],
)
def test_an_entry_without_its_line_is_refused(page: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        words.terms(page)


# --- a chapter --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["Each batch norm counts."], [("batch-normalisation", "batch norm")]),
        (["A *norm*, and two norms."], [("norm", "norm")]),
        ([f"A [batch norm]({LINK}batch-normalisation), then BN."], []),
        ([f"BN is new; see [here]({LINK}batch-normalisation)."], []),
        ([f"BN is new.\n\nSee [here]({LINK}batch-normalisation)."], [("batch-normalisation", "BN")]),
        (["BN in one cell.", "BN in the next."], [("batch-normalisation", "BN")]),
        (["BATCH\nNORMALISATION, broken over lines"], [("batch-normalisation", "BATCH\nNORMALISATION")]),
        (["We record it."], []),
        (["A quick record."], [("record", "quick record")]),
        (["A strided, normal, BN-free, stride-2 layer."], []),
        (
            [
                "## Stride\n\n| stride | padding |\n|---|---|\n\n`stride` $stride$ {ref}`stride` [stride](x.md)"
            ],
            [],
        ),
        (["```python\nstride = 2\n```\n\n$$\nstride\n$$ (eq-x)"], []),
        ([":::{dropdown} About this page\nstride\n:::\n\npadding"], [("stride-and-padding", "padding")]),
        ([":::{dropdown} Further: more\nstride\n:::"], [("stride-and-padding", "stride")]),
        (["```{admonition} Predict\n:class: tip\nWhich stride?\n```"], [("stride-and-padding", "stride")]),
        (["<details><summary>stride</summary>\n\nBN here.\n\n</details>\n\nnorm"], [("norm", "norm")]),
        (["```{solution-start} a\n```\nBN\n```{solution-end}\n```\n\nnorm"], [("norm", "norm")]),
        (["## Exercises\n\nBN and stride"], []),
    ],
)
def test_first_use(cells: list[str], expected: list[tuple[str, str]]) -> None:
    assert missing(*cells) == expected


def test_a_place_in_the_text_is_a_place_in_the_source() -> None:
    """What is blanked out keeps its length: else links would be put into the middle of words."""
    for path in sorted((ROOT / "chapters").rglob("*.ipynb")):
        found = json.loads(path.read_text("utf-8"))
        for each in prose.paragraphs(found):
            source = "".join(found["cells"][each.cell]["source"])
            assert source[each.start :].startswith(each.source)
            assert len(each.text) == len(each.source)
            assert all(a in (b, " ") for a, b in zip(each.text, each.source, strict=True))


def test_writing_puts_each_link_where_it_was_missing(tmp_path: Path) -> None:
    (tmp_path / "chapters").mkdir()
    path = tmp_path / "chapters" / "a.ipynb"
    before = notebook("A *norm* of $BN$ and BN, again BN.\n\n`padding` and padding", "The stride, the norm.")
    path.write_text(json.dumps(before))
    assert words.write(path, KNOWN) == 3
    after = json.loads(path.read_text())
    assert words.unlinked(prose.paragraphs(after), KNOWN) == []
    assert words.write(path, KNOWN) == 0
    text = ["".join(cell["source"]) for cell in after["cells"]]
    assert [re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", one) for one in text] == [
        "".join(cell["source"]) for cell in before["cells"]
    ]
    assert re.findall(r"\[(\w+)\]\([^)]*#([\w-]+)\)", text[0]) == [
        ("norm", "norm"), ("BN", "batch-normalisation"), ("padding", "stride-and-padding")
    ]  # fmt: skip
    assert [cell["id"] for cell in after["cells"]] == ["0", "1"]


def test_a_link_to_no_entry_is_named_with_the_nearest() -> None:
    (complaint,) = words.astray(prose.paragraphs(notebook(f"A [x]({LINK}batch-norm).")), KNOWN)
    assert "#batch-norm is no entry; nearest: batch-normalisation" in complaint
    assert words.astray(prose.paragraphs(notebook(f"[x]({LINK}norm) [y]({LINK}symbols)")), KNOWN) == []
