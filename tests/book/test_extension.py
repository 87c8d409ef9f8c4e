"""The Sphinx extension's parts, without a build."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from resnetbook import survey
from resnetbook.sphinx_ext import api, errata, figures, ledger, sources, status, survey_map, svg
from resnetbook.sphinx_ext.docstrings import to_rst
from resnetbook.sphinx_ext.html import inline, markdown, table
from resnetbook.sphinx_ext.search import _SPLITTER, BilingualSearch
from resnetbook.sphinx_ext.timeline import short, year_of


class Everywhere:
    """Links of a book that has every page."""

    verdict_pages: ClassVar[dict[str, list[str]]] = {}

    def page(self, target, anchor=""):
        return f"{target}.html#{anchor}" if anchor else f"{target}.html"

    def notebook(self, where):
        return where and f"chapters/{where}"

    def method(self, name):
        return f"map#{name}"

    def claim(self, name):
        return f"ledger#{name}"

    def record(self, name):
        return f"records/{name}"

    def experiment(self, name):
        return f"api#{name}"

    def code(self, dotted):
        return dotted and f"api#{dotted}"


LINKS = Everywhere()


def test_extension_and_map_import_no_torch():
    code = (
        "import sys; from resnetbook.sphinx_ext import directives, search, launch, cleanup; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("residual networks", ["residual", "networks"]),
        ("残差", ["残差"]),
        ("残差网络", ["残差", "差网", "网络"]),
        ("深度ResNet网络 2015", ["深度", "ResNet", "网络", "2015"]),
        ("块", ["块"]),
        ("", []),
    ],
)
def test_search_splits_both_languages(text, expected):
    search = BilingualSearch({})
    assert search.split(text) == expected
    assert all(search.word_filter(word) for word in expected)


def test_search_stems_english_and_drops_stop_words():
    search = BilingualSearch({})
    assert search.stem("networks") == search.stem("network")
    assert not search.word_filter("the")
    assert "[\\u3400-\\u9fff]" in _SPLITTER  # the browser cuts at the same range


@pytest.mark.parametrize(
    "text",
    [
        "The norm |dW|/|W| and *args, **kwargs, a_ and `x`_.",
        "Formula:\n\n    y = x * |F(x)|\n\nand `code` after it.",
        "Args:\n    x: shape (N, C), *not* 3-D.\n    y_: the other one,\n        on two lines.\n\nRaises:\n    ValueError: |x| is 0.",
        "- one item\n- another *item\n  that goes on\n\nText.",
        "``double`` and `single`-code.",
        "Example:\n    >>> f(*x)\n    1",
        "Args: none.\nReturns:\n  what `f_` gives_",
        "A paragraph\n    with an indented line\nand one more.",
    ],
)
def test_docstrings_become_markup_without_complaint(text):
    from docutils.core import publish_doctree
    from docutils.utils import Reporter

    rst = "\n".join(to_rst(text.splitlines()))
    tree = publish_doctree(
        rst, settings_overrides={"report_level": Reporter.SEVERE_LEVEL + 1, "halt_level": 5}
    )
    assert [
        str(node) for node in tree.findall(lambda n: n.tagname in ("system_message", "problematic"))
    ] == []
    words = set(re.findall(r"[a-z]{3,}", text.lower()))
    assert words <= set(re.findall(r"[a-z]{3,}", tree.astext().lower())) | {"args", "none"}


def test_docstring_keeps_its_signs():
    from docutils.core import publish_doctree

    tree = publish_doctree("\n".join(to_rst(["The norm |dW| of *w* and f_ is `a*b`."])))
    assert tree.astext() == "The norm |dW| of *w* and f_ is a*b."


def test_inline_escapes_and_marks_up():
    assert inline("a < b & `x<y` **c**") == "a &lt; b &amp; <code>x&lt;y</code> <strong>c</strong>"
    assert markdown("a|b *c* `d*e` <f>") == r"a\|b \*c\* `d*e` \<f\>"


def test_table_is_reached_by_keyboard():
    assert 'tabindex="0"' in table(["a"], [["1"]], label="x")


@pytest.mark.parametrize("number", list(figures.FIGURES))
def test_figures_are_drawings_with_names_and_links(number):
    text = figures.figure(number, LINKS)
    drawing = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert drawing.find("title").text
    assert len(drawing.find("desc").text) > 40
    links = [node for node in drawing.iter("a") if node.get("href")]
    assert len(links) >= 3
    assert all(node.get("aria-label") for node in links)
    ids = [node.get("id") for node in drawing.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert not re.search(r'(fill|stroke)="', text), "colours belong to the stylesheet, which knows the theme"


def test_figure_that_is_not_drawn():
    with pytest.raises(ValueError, match="expected one of 1, 2, 3"):
        figures.figure("7", LINKS)


def test_timeline_shows_every_network_and_what_is_planned():
    rows = [method for method in survey.methods() if method.section.startswith("3(")]
    text = figures.figure("3", LINKS)
    assert text.count("<circle") == len(rows) == 16
    assert text.count("rb-dot-planned") == sum(method.status == "planned" for method in rows)
    assert {year_of(method) for method in rows} == {1998, 2012, 2014, 2015, 2016, 2017}
    assert short(rows[0]) == "LeNet-5"


def test_names_on_the_timeline_do_not_meet():
    """With 7 units a letter each name ends before the next dot of its row."""
    text = figures.figure("3", LINKS)
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)]
    names = re.findall(r'rb-name-\w+">([^<]+)</text>', text)
    for (x, y), name in zip(dots, names, strict=True):
        later = [other - x for other, height in dots if height == y and other > x]
        assert not later or 11 + 7 * len(name) < min(later), name


def test_arrow_ends_in_its_head():
    assert "M10 0 L2 4 L2 -4 Z" in svg.arrow([(0, 0), (10, 0)])


def test_map_rows_tell_planned_from_built():
    built = survey.Method(
        "9.x",
        "9",
        "X",
        "某",
        object="resnetbook.a.B",
        notebook="9/x#h",
        proof=survey.Proof("count", "t.py::test_b"),
    )
    planned = survey.Method("9.y", "9", "Y|Z", "某", references=("s01",), corrected=("s02",))
    assert 'rb-built">built' in survey_map.row(built, LINKS)
    row = survey_map.row(planned, LINKS)
    assert 'rb-planned">planned' in row
    assert "should be {cite:p}`s02`" in row
    assert survey_map.summary([built, planned]) == "1 of 2 built, 1 planned."


def test_sections_do_not_swallow_each_other():
    sections = ["2", "3", "4.1", "4.2", "4.3", "4.4", "4.5", "5.1", "5.2", "6"]
    for method in survey.methods():
        assert sum(survey_map.in_section(method, section) for section in sections) == 1, method.id


def outcome(**changes):
    values = {
        "label": "a < b", "seeds": 5, "mean": 0.0123, "low": 0.01, "high": 0.02, "margin": 0.005,
        "status": "supported", "provenance": "five seeds", "metric": "train_loss",
    }  # fmt: skip
    return survey.Outcome(**{**values, **changes})


def test_a_claim_is_a_card_with_numbers_command_record_and_data(monkeypatch):
    claim = survey.claims()[2]
    part = outcome(experiment="degradation", variant="cifar10_jpeg", scale="quick", seeds=12, record="r.json", minutes=6.2,
                   flags=("fragile",), registered="before", rule="better", values=(0.01, 0.02))  # fmt: skip
    found = survey.Verdict(claim.id, "quick", "partly supported", (part, outcome(status="not run yet")))
    nothing = survey.Verdict(claim.id, "full", "not run yet", ())
    monkeypatch.setattr(ledger, "verdict", lambda _, scale: found if scale == "quick" else nothing)
    card = ledger.claim_card(claim, LINKS)
    for text in (
        "a &lt; b", "five seeds", ">partly supported<", "resnetbook run degradation --scale quick --set data=cifar10_jpeg",
        "about 6 min", 'href="records/r.json"', "fragile", "registered before the run", "--set data=cifar10</code> runs",
        'data-words="partly supported"', 'data-flags="fragile"', 'data-scales="quick"', "1 of 2 parts not run yet",
    ):  # fmt: skip
        assert text in card, text
    assert "full" not in card.split("</p>")[0]


def test_the_filter_offers_what_the_cards_hold():
    form = ledger.chooser()
    for claim in survey.claims():
        card = ledger.claim_card(claim, LINKS)
        for name in ("words", "section", "scales", "flags"):
            values = re.search(rf'data-{name}="([^"]*)"', card)[1].split("|")
            for value in filter(None, values):
                assert f'<option value="{value}">' in form or claim.by_reading == value, (
                    claim.id,
                    name,
                    value,
                )


def test_every_claim_has_a_group():
    titles = [title for title, _ in ledger.GROUPS] + [ledger.READINGS]
    assert {ledger.group_of(claim) for claim in survey.claims()} <= set(titles)
    with pytest.raises(ValueError, match="belongs to no group"):
        ledger.group_of(SimpleNamespace(id="C99", section="7", by_reading=None))


def test_errata_and_glossary_are_complete():
    page = errata.errata_page(survey.errata(), LINKS)
    assert page.count("<article") == len(survey.errata()) == 25
    terms = errata.glossary(survey.glossary())
    for word in ("残差块", "梯度", "residual block"):
        assert f"\n{word}\n" in terms


def test_status_reads_what_files_say(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text(
        '{"cells": [{"cell_type": "markdown", "source": ["# A *title*\\n"]}, {"cell_type": "code", "source": []}],'
        ' "metadata": {"resnetbook": {"executed": "2026-11-23", "seconds": 100, "versions": {"torch": "2"}}}}'
    )
    row = status.notebook_row(path, "chapters/x", LINKS)
    assert row[3] == "1"
    assert "torch 2" in row[4]
    assert [re.sub("<[^>]+>", "", cell) for cell in row[1:3]] == ["2026-11-23", "2 min"]


def test_solution_is_folded_once():
    from docutils import nodes

    from resnetbook.sphinx_ext.cleanup import open_inner_details, strip_repeated_ids

    solution_node = type("solution_node", (nodes.Admonition, nodes.Element), {})
    document = nodes.document(None, None)  # type: ignore[arg-type]
    solution = solution_node()
    inside = nodes.raw("", "<details><summary>Solution</summary>", format="html")
    outside = nodes.raw("", "<details><summary>Option</summary>", format="html")
    section = nodes.section(ids=["exercise-content", "mine"])
    solution += [section, inside]
    document += [solution, outside]
    open_inner_details(None, document, "x")  # type: ignore[arg-type]
    strip_repeated_ids(None, document, "x")  # type: ignore[arg-type]
    assert inside.astext().startswith("<details open")
    assert outside.astext().startswith("<details>")
    assert section["ids"] == ["mine"]


@pytest.mark.parametrize("url", ["", "https://github.com/owner/name"])
def test_configuration_carries_the_repository_to_the_launch_button(url):
    import yaml
    from jupyter_book.config import get_final_config

    from resnetbook.sphinx_ext.launch import prepare_theme

    content = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text())
    content["repository"]["url"] = url
    config, _ = get_final_config(user_yaml=content, cli_config={"latex_individualpages": False})
    prepare_theme(None, SimpleNamespace(html_theme_options=config["html_theme_options"]))  # type: ignore[arg-type]
    options = config["html_theme_options"]
    assert options.get("repository_url", "") == url
    assert bool(options.get("launch_buttons", {}).get("colab_url")) == bool(url)


def _documented(name, origin=None, inherited=False, kind="class", children=()):
    found = SimpleNamespace(
        name=name, docstring="Words.", type=kind, inherited=inherited, children=list(children)
    )
    found.imported, found.obj = origin is not None, {"original_path": origin}
    return found


def test_what_a_private_module_defines_is_documented_where_it_is_exported():
    method = _documented("forward", "book._cells.Cell.forward", kind="method")
    cell = _documented("Cell", "book._cells.Cell", children=[method])
    assert api.listing(cell, "book.net", ["Cell"]) == [
        ".. autoapiclass:: book.net.Cell",
        "   :members: forward",
        "   :member-order: bysource",
        "",
    ]
    assert api.listing(cell, "book.net", ["Net"]) == []  # used in the module, not handed on
    assert (
        api.listing(_documented("Cell", "book.cells.Cell"), "book.net", ["Cell"]) == []
    )  # has a page of its own
    assert api.listing(_documented("Net"), "book.net") == [".. autoapiclass:: book.net.Net", ""]
    assert api.listing(_documented("Net", inherited=True), "book.net", ["Net"]) == []
    assert api.listing(_documented("_Net"), "book.net", ["_Net"]) == []


# --- code that a chapter shows ------------------------------------------------------------------------------


def analysed() -> dict[str, SimpleNamespace]:
    """What static analysis knows of a small package, in sphinx-autoapi's form."""

    def known(name: str, kind: str, docstring: str = "Text.", lines: tuple[int, int] = (0, 0)):
        obj = {"from_line_no": lines[0], "to_line_no": lines[1]}
        return SimpleNamespace(name=name.rpartition(".")[2], type=kind, docstring=docstring, obj=obj)

    handed_on = known("Cell", "class")
    handed_on.imported, handed_on.obj = True, {"original_path": "resnetbook.timeline._cells.Cell"}
    return {
        "resnetbook.timeline": known("resnetbook.timeline", "package"),
        "resnetbook.timeline._checks": known("resnetbook.timeline._checks", "module"),
        "resnetbook.timeline._checks.he_init": known("he_init", "function", lines=(49, 60)),
        "resnetbook.timeline.densenet": known("resnetbook.timeline.densenet", "module"),
        "resnetbook.timeline.densenet.DenseLayer": known("DenseLayer", "class", lines=(33, 72)),
        "resnetbook.timeline.densenet.DenseLayer.forward": known("forward", "method", lines=(70, 72)),
        "resnetbook.timeline.densenet.DenseLayer.bare": known("bare", "method", docstring=""),
        "resnetbook.timeline._cells.Cell": known("Cell", "class"),
        "resnetbook.timeline.other": SimpleNamespace(
            name="other", type="module", docstring="T.", obj={}, all=[]
        ),
        "resnetbook.timeline.other.Cell": handed_on,
        "resnetbook.timeline.nasnet": SimpleNamespace(
            name="nasnet", type="module", docstring="T.", obj={}, all=["Cell"]
        ),
        "resnetbook.timeline.nasnet.Cell": handed_on,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("resnetbook.timeline.densenet.DenseLayer", "resnetbook.timeline.densenet.DenseLayer"),
        (
            "resnetbook.timeline.densenet.DenseLayer.forward",
            "resnetbook.timeline.densenet.DenseLayer.forward",
        ),
        ("resnetbook.timeline.densenet.DenseLayer._rest", "resnetbook.timeline.densenet.DenseLayer"),
        ("resnetbook.timeline.densenet.DenseLayer.bare", "resnetbook.timeline.densenet.DenseLayer"),
        ("resnetbook.timeline._checks.he_init", "resnetbook.timeline"),
        ("resnetbook.timeline._cells.Cell", "resnetbook.timeline.nasnet.Cell"),
        ("resnetbook.timeline._cells.Cell.forward", "resnetbook.timeline.nasnet.Cell"),
        ("torch.nn.modules.conv.Conv2d", "torch"),
    ],
)
def test_shown_code_leads_to_what_the_api_pages_show(asked, found):
    assert sources.documented(analysed(), asked) == found


def test_shown_code_leads_to_its_lines_in_the_repository():
    known = analysed()
    layer, package = "resnetbook.timeline.densenet.DenseLayer", "resnetbook.timeline"
    options = {"repository_url": "https://host/owner/book", "repository_branch": "trunk"}
    file = "https://host/owner/book/blob/trunk/src/resnetbook/timeline/densenet.py"
    assert sources.repository_file(options, known, layer) == f"{file}#L33-L72"
    assert sources.repository_file(options, known, package).endswith("/timeline/__init__.py")
    assert sources.repository_file({}, known, layer) is None, "no repository is set"
    assert sources.repository_file(options, known, "torch.nn.modules.conv.Conv2d") is None, "not ours"


def test_the_place_of_shown_code_is_linked_on_the_page():
    """The markup is the one that a notebook stores: both sides have to agree on it."""
    from resnetbook.lab import sources as shown
    from resnetbook.lab.blocks import Block

    known = {
        "resnetbook.lab": SimpleNamespace(name="resnetbook.lab", type="package", docstring="", obj={}),
        "resnetbook.lab.blocks": SimpleNamespace(name="blocks", type="module", docstring="Text.", obj={}),
        "resnetbook.lab.blocks.Block": SimpleNamespace(
            name="Block", type="class", docstring="Text.", obj={"from_line_no": 3, "to_line_no": 9}
        ),
    }
    builder = SimpleNamespace(get_relative_uri=lambda here, there: f"../../{there}.html")
    env = SimpleNamespace(
        autoapi_all_objects=known, found_docs={"book/api_lab"}, app=SimpleNamespace(builder=builder)
    )
    config = SimpleNamespace(html_theme_options={"repository_url": "https://host/owner/book"})
    context = {"body": shown.source(Block).markup}
    sources.add_links(SimpleNamespace(env=env, config=config), "chapters/2_principle/x", "", context, None)
    addresses = re.findall(r'<a href="([^"]+)"', context["body"])
    assert addresses == [
        "../../book/api_lab.html#resnetbook.lab.blocks.Block",
        "https://host/owner/book/blob/main/src/resnetbook/lab/blocks.py#L3-L9",
    ]
