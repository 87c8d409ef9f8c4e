"""The manner of the chapters that have been rewritten (DESIGN section 2): rules that can be counted, in `tools/manner.py`.

A chapter that is rewritten is added to REWRITTEN. Each rule is also shown a small notebook that breaks it.
"""

import json
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import manner  # noqa: E402

# One chapter a line, in the order of the book.
REWRITTEN: list[str] = [
    "1_introduction/introduction",
    "2_principle/residual_block",
    "2_principle/degradation",
    "2_principle/gradient_flow",
    "2_principle/why_it_works",
    "2_principle/shattered_gradients",
    "3_timeline/overview",
    "3_timeline/foundations",
    "3_timeline/resnet",
    "3_timeline/resnet_v2",
    "3_timeline/ror",
    "3_timeline/wide_resnet",
    "3_timeline/resnet_in_resnet",
    "3_timeline/stochastic_depth",
    "3_timeline/densenet",
    "3_timeline/dual_path",
    "3_timeline/inception",
    "3_timeline/nasnet",
    "3_timeline/resnext",
    "3_timeline/comparison",
    "4_structure/kernels",
    "4_structure/pooling",
    "4_structure/any_size",
    "4_structure/residual_unit",
    "4_structure/heads",
]

CHAPTERS = ROOT / "chapters"
ALL = sorted(
    path.relative_to(CHAPTERS).with_suffix("").as_posix()
    for path in CHAPTERS.rglob("*.ipynb")
    if "assignments" not in path.parts and ".ipynb_checkpoints" not in path.parts
)


def read(name: str) -> dict:
    return json.loads((CHAPTERS / f"{name}.ipynb").read_text("utf-8"))


def test_the_list_names_chapters() -> None:
    assert set(REWRITTEN) <= set(ALL)
    assert len(REWRITTEN) == len(set(REWRITTEN))


def test_every_chapter_is_held_to_the_rules() -> None:
    if missing := sorted(set(ALL) - set(REWRITTEN)):
        pytest.xfail(f"not yet rewritten: {', '.join(missing)}")


@pytest.mark.parametrize("rule", manner.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", REWRITTEN)
def test_chapter(name: str, rule) -> None:
    assert rule(read(name)) == []


@pytest.mark.parametrize("name", REWRITTEN)
def test_chapter_is_no_longer_than_its_idea_needs(name: str) -> None:
    assert manner.length(read(name), manner.limit(CHAPTERS / f"{name}.ipynb")) == []


def test_the_right_answer_does_not_stand_first() -> None:
    """Over all rewritten chapters: in fewer than half of the questions the first option is right."""
    groups = [group for name in REWRITTEN for group in manner.options(read(name))]
    assert not groups or sum(group[0] for group in groups) < len(groups) / 2


# --- each rule sees what breaks it ------------------------------------------------------------------------

CLASS = """class Block(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x"""
PANELS = '<figure class="resnetbook-panels"></figure>'
TERM = "../../book/words_and_symbols.md#"


def text(source: str):
    return nbformat.v4.new_markdown_cell(source)


def cell(source: str, *tags: str, prints: str = "", html: str = ""):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=prints)] if prints else []
    if html:
        data = {"text/html": html, "text/plain": "x"}
        outputs.append(nbformat.v4.new_output("execute_result", data=data, execution_count=1))
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def book(*cells) -> dict:
    """A notebook as it is read from its file: sources are lists of lines."""
    return json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=list(cells))))


def options(*bodies: str) -> str:
    return "\n".join(f"<details><summary>An option</summary>\n\n{body}\n\n</details>" for body in bodies)


LONG = "x" * 89
VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/html": PANELS}
WIDGET = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data=VIEW)])
BROKEN = {
    "comment": ("comments", [cell("# NBVAL_CHECK_OUTPUT\n1 + 1")]),
    "comment inside": ("comments", [cell("1 + 1\n# NBVAL_SKIP")]),
    "comment in the text": ("comments", [text("Cells with `NBVAL_CHECK_OUTPUT`.")]),
    "long line": ("lines", [cell(f"a = 1\n{LONG}")]),
    "long line in the text": ("lines", [text(f"See:\n```python\n{LONG}\n```")]),
    "bare boolean": ("booleans", [cell("1", prints="True\n")]),
    "bare boolean among others": ("booleans", [cell("1", prints="ratio 3.1\nTrue\n")]),
    "labelled booleans": ("booleans", [cell("1", prints="first below last: True\nequal:   False\n")]),
    "booleans in a row": ("booleans", [cell("1", prints="equal: (True, True)\n")]),
    "no class": ("classes", [cell("loss.backward()")]),
    "half a class": ("classes", [cell("class A(nn.Module):\n    def forward(self, x):\n        return x"), cell("loss.backward()")]),
    "folded class": ("classes", [cell(CLASS, "hide-input"), cell("results.read('a')")]),
    "class behind the record": ("classes", [cell("results.read('a')"), cell(CLASS)]),
    "function for a class": ("classes", [cell("figures.source(f)", html='<span class="k">def</span>'), cell("training.fit(net)")]),
    "no live": ("moving", [cell("widgets.panels(x)", html=PANELS)]),
    "live not executed": ("moving", [cell("widgets.live(f)")]),
    "stored widget": ("moving", [cell("widgets.live(f)", html=PANELS), WIDGET]),
    "term": ("links", [text("A linear probe.")]),
    "dead term": ("links", [text(f"A [probe]({TERM}probes).")]),
    "code": ("codes", [text("Claim C03 says so.")]),
    "code in a heading": ("codes", [text("## Erratum E22")]),
    "code in a fold": ("codes", [text(":::{dropdown} Further: M6\nM10 is wrong.\n:::")]),
    "code in an option": ("codes", [text("<details><summary>As A7 says</summary>\n\nNo.\n\n</details>")]),
    "code printed": ("codes", [cell("1", prints="C30: supported\n")]),
    "code in a caption": ("codes", [nbformat.v4.new_code_cell("1", metadata={"mystnb": {"figure": {"caption": "C03."}}})]),
    "no right answer": ("answers", [text(options("No.", "It does not."))]),
}  # fmt: skip
SOUND = {
    "comments": [cell("1 + 1", "nbval-check-output")],
    "lines": [cell(LONG, "hide-input"), cell("y" * 88), text(f"{LONG}\n```text\n{LONG}\n```")],
    "booleans": [
        cell("1", prints="ratio ≈ 11.8 (held below 30)\nequal: True\n"),
        cell("1", prints="name     params  pruned\nplain       12    True\n"),
        cell("1", html="True"),
    ],
    "classes": [cell("figures.verdict('C02')"), cell(CLASS), cell("loss.backward()")],
    "moving": [cell("widgets.live(f)", html=PANELS)],
    "links": [text(f"A [linear probe]({TERM}linear-probe), and another linear probe.")],
    "codes": [
        text(":::{dropdown} About this page\nClaims C03 and C08.\n:::\n\nSee [C03](x.md#claim-c03), `E22` and $M_6$; an A100."),
        cell("figures.verdict('C03')", html="<p>C03</p>"),
    ],
    "answers": [text(options("No.", "Yes.")), text("<details><summary>Solution</summary>\n\n5.\n\n</details>")],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "cells"), BROKEN.values(), ids=BROKEN)
def test_a_rule_sees_what_breaks_it(rule: str, cells: list) -> None:
    assert getattr(manner, rule)(book(*cells))


@pytest.mark.parametrize(("rule", "cells"), SOUND.items(), ids=SOUND)
def test_a_rule_passes_what_is_sound(rule: str, cells: list) -> None:
    assert getattr(manner, rule)(book(*cells)) == []


def test_every_rule_was_shown_both() -> None:
    names = {rule.__name__ for rule in manner.RULES}
    assert names == {rule for rule, _ in BROKEN.values()} == set(SOUND)


def test_a_shown_class_counts_though_its_cell_is_folded() -> None:
    """What `figures.source` shows is the cell's output; the markup is the one that it gives today."""
    from resnetbook.lab import blocks, figures

    shown = cell("figures.source(Block)", "hide-input", html=figures.source(blocks.Block).markup)
    assert manner.classes(book(shown, cell("loss.backward()"))) == []


def test_words_are_those_that_a_reader_sees() -> None:
    shown = text(
        "# Two words\n\nThree [linked words](a.md#b) and $x^2 + y$ {cite:p}`key` `code here`.\n\n"
        "```python\nnot = counted\n```\n\n:::{dropdown} Further: more\nnot counted\n:::\n\n| a | b |\n|---|---|\n| c | d |"
    )
    folded = text(
        "```{solution-start} a\n```\nnot counted\n```{solution-end}\n```\n\n" + options("not", "counted")
    )
    references = text("## References\n\nnot counted")
    # 2 in the heading; Three linked words and, a formula, a piece of code; 4 cells of the table.
    assert manner.length(book(shown, folded, references), 0) == ["12 visible words, at most 0"]
    assert manner.length(book(shown), 12) == []


def test_questions_and_their_right_options() -> None:
    several = text(
        f"**1.**\n\n{options('No.', 'Yes: so it is.', 'No.')}\n\n**2.**\n\n{options('Right.', 'Rightly not.')}"
    )
    single = text(options("Right."))
    assert manner.options(book(several, single)) == [[False, True, False], [True, False]]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("1_introduction/introduction", 3500), ("2_principle/degradation", 3500), ("3_timeline/resnet", 2500)],
)
def test_limits(name: str, limit: int) -> None:
    assert manner.limit(CHAPTERS / f"{name}.ipynb") == limit
