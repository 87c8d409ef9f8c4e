"""The markup of the networks in a page, without a build: forms, names, ways to the files, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from resnetbook.sphinx_ext.links import NETWORK_ANCHOR, Links
from resnetbook.sphinx_ext.network import PICTURE, SCRIPTS, network, sources, weights

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


def markup(
    form: str, folder: Path = STATIC, up: str = "../../", more: str | None = "there.html#here"
) -> BeautifulSoup:
    return BeautifulSoup(network(form, folder, up, more), "html.parser")


@pytest.mark.parametrize("up", ["", "../", "../../"])
@pytest.mark.parametrize("form", ["full", "small"])
def test_files_are_found_from_every_depth_in_the_order_in_which_they_need_each_other(
    form: str, up: str
) -> None:
    page = markup(form, up=up)
    assert [tag["src"] for tag in page.find_all("script")] == [f"{up}_static/{name}" for name in SCRIPTS]
    assert all(tag.has_attr("defer") for tag in page.find_all("script"))
    assert page.img["src"] == f"{up}_static/{PICTURE}"
    assert f"{up}_static/network.js" in [tag["href"] for tag in page.find_all("a")]
    assert all((STATIC / name).is_file() for name in (*SCRIPTS, PICTURE))


def test_the_forms_differ_in_what_a_reader_can_do() -> None:
    full, small = markup("full"), markup("small")
    for page in (full, small):
        assert [box["value"] for box in page.select("input[name=block]")] == [
            str(number) for number in range(9)
        ]
        assert [len(stage.select("input")) for stage in page.select(".rb-net-stage")] == [3, 3, 3]
        assert page.form.has_attr("hidden")  # until a script shows it
    assert full.select_one("input[name=scale]")["max"] == "2"
    assert full.select_one(".rb-net")["id"] == NETWORK_ANCHOR
    assert full.select_one("svg.rb-net-pad")["role"] == "application"
    assert small.select_one("input[name=scale]") is None
    assert small.select_one("svg.rb-net-pad")["role"] == "img"
    assert [tag["href"] for tag in small.select(".rb-note a")][1] == "there.html#here"
    assert "there.html" not in str(full)
    assert len(markup("small", more=None).select(".rb-note a")) == 1


def test_every_control_has_its_own_label() -> None:
    """The first control inside a label is what it names: an output before a slider would take the name."""
    page = markup("full")
    for label in page.find_all("label"):
        inside = label.find_all(["input", "output", "select", "button"])
        target = page.find(id=label["for"]) if label.has_attr("for") else inside[0]
        assert target.name == "input"
        assert len(inside) == (0 if label.has_attr("for") else 1)
        assert label.get_text(strip=True)
    labelled = {id(label.find("input") or page.find(id=label["for"])) for label in page.find_all("label")}
    assert labelled == {id(box) for box in page.find_all("input")}


def test_words_follow_the_numbers(tmp_path: Path) -> None:
    found = weights(STATIC / SCRIPTS[0])
    note = markup("full").select_one(".rb-net > .rb-note").get_text()
    for entry in found["networks"].values():
        assert f"{100 * entry['accuracy']:.1f} %" in note
    assert f"{len((STATIC / 'network.js').read_text().splitlines())} lines" in note
    for name in SCRIPTS:
        shutil.copy(STATIC / name, tmp_path)
    found["networks"]["plain"]["accuracy"] = 0.1234
    found["networks"]["plain"]["prepared"]["off"] = [0, 0, 0.6, *[0.4 / 7] * 7]
    (tmp_path / SCRIPTS[0]).write_text(f"window.rbNetworks = {json.dumps(found)};\n")
    changed = markup("full", tmp_path)
    assert "its plain twin on 12.3 %" in changed.select_one(".rb-net > .rb-note").get_text()
    assert re.search(
        r"with block 5 off the residual network says \d with \d+ %, its plain twin 2 with 60 %",
        changed.img["alt"],
    )


def test_the_book_is_built_again_when_a_file_of_the_networks_changes() -> None:
    assert {path.name for path in sources(STATIC.parents[1])} == {*SCRIPTS, PICTURE}
    assert all(path.is_file() for path in sources(STATIC.parents[1]))


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="form='large': expected 'full' or 'small'"):
        network("large", STATIC, "", None)
    with pytest.raises(
        ValueError, match=r"network-weights.js: no trained networks here; `make network` writes them"
    ):
        network("full", tmp_path, "", None)
    for text in ("", "window.rbNetworks = {", 'window.rbNetworks = {"side": 8};'):
        (tmp_path / SCRIPTS[0]).write_text(text)
        with pytest.raises(ValueError, match="no trained networks here"):
            network("full", tmp_path, "", None)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("```{network}\nIn the book ...\n```", True),
        ("Text.\n\n```{network} full\n```", True),
        ("```{network} small\n```", False),
        ("A network.", False),
    ],
)
def test_the_chapter_with_the_full_form_is_found(tmp_path: Path, source: str, found: bool) -> None:
    def doc2path(name: str) -> str:
        path = tmp_path / f"{Path(name).name}.ipynb"
        text = source if name == "chapters/b" else "Nothing."
        path.write_text(json.dumps({"cells": [{"source": text.splitlines(keepends=True)}]}))
        return str(path)

    builder = SimpleNamespace(get_relative_uri=lambda start, target: f"{start} to {target}")
    environment = SimpleNamespace(
        found_docs=("book/intro", "chapters/a", "chapters/b"),
        app=SimpleNamespace(builder=builder),
        doc2path=doc2path,
    )
    expected = f"book/intro to chapters/b#{NETWORK_ANCHOR}" if found else None
    assert Links(environment, "book/intro").network == expected  # type: ignore[arg-type]
