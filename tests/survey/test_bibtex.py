import re

import pytest

from resnetbook import survey
from resnetbook.survey.bibtex import parse
from resnetbook.survey.load import folder

CITED = [
    "veit2016residual",
    "balduzzi2017shattered",
    "li2018visualizing",
    "glorot2010understanding",
    "he2015delving",
    "ioffe2015batch",
    "yang2019meanfield",
    "de2020batch",
    "zhang2019fixup",
    "hanin2018start",
    "srivastava2015highway",
    "hochreiter2001gradient",
    "bengio1994learning",
    "orhan2018skip",
    "prince2023understanding",
    "zhang2023dive",
    "howard2020fastai",
    "crouch2004demonstrations",
    "sentance2019primm",
    "yang2023medmnist",
    "kermany2018identifying",
    "zheng2018fast",
    "antonelli2022msd",
    "caicedo2019nucleus",
    "fraz2012ensemble",
    "radau2009evaluation",
    "cardona2010integrated",
    "arganda2015crowdsourcing",
    "krizhevsky2009learning",
    "girshick2015fast",
    "zeiler2013stochastic",
    "zeng2015distant",
    "alpaydin1998optical",
]


def test_the_surveys_list_comes_first_and_in_order():
    keys = [reference.id for reference in survey.references()]
    assert keys[:69] == [f"s{number:02d}" for number in range(1, 70)]
    assert set(CITED) <= set(keys)
    assert keys[69:] == ["zhou2020residual", *sorted(keys[70:])]


def test_identifiers_have_their_form_and_none_stands_twice():
    dois = [reference.doi for reference in survey.references() if reference.doi]
    numbers = [reference.arxiv for reference in survey.references() if reference.arxiv]
    assert all(re.fullmatch(r"10\.\d{4,}/\S+", doi) for doi in dois)
    # The first two digits are the year, the next two a month: 1082.06955, as the survey prints it, is none.
    assert all(re.fullmatch(r"\d\d(0[1-9]|1[0-2])\.\d{4,5}", number) for number in numbers)
    assert len(set(dois)) == len(dois)
    assert len(set(numbers)) == len(numbers)


def test_the_surveys_slip_is_corrected_and_named():
    paper = next(reference for reference in survey.references() if reference.id == "s67")
    assert paper.arxiv == "1802.06955"
    assert "1082.06955" in paper.note


def test_a_paper_in_chinese_carries_both_titles():
    papers = {reference.id: reference for reference in survey.references()}
    assert papers["s52"].chinese == "基于多尺度残差神经网络的阿尔茨海默病诊断分类"
    assert papers["s52"].title.startswith("The diagnosis of Alzheimer's disease")
    # 21 of the 69, and the survey itself.
    assert sum(bool(paper.chinese) for paper in papers.values()) == 22


def test_the_bibliography_program_reads_the_same():
    pybtex = pytest.importorskip("pybtex.database")
    theirs = pybtex.parse_file(str(folder() / "references.bib"))
    ours = {reference.id: reference for reference in survey.references()}
    assert list(theirs.entries) == list(ours)
    for key, entry in theirs.entries.items():
        assert entry.fields["year"] == str(ours[key].year)
        assert len(entry.persons["author"]) == len(ours[key].authors)


def test_braces_nest_and_escapes_are_resolved():
    (entry,) = parse(
        "@article{k,\n title = {A {3D} study of A \\& B},\n author = {Doe, J. and {Some Group}},\n year = {2001}, pages = {1--2},\n}",
        "x.bib",
    )
    assert entry.title == "A 3D study of A & B"
    assert entry.authors == ("Doe, J.", "Some Group")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@article{k,\n title = {A},\n year = {2001}\n}", "x.bib, k: field 'author' is missing"),
        ("@article{k,\n title = {A},\n author = {B},\n year = {200x}\n}", "x.bib, k: year '200x'"),
        ("@article{k,\n title = {A,\n}", "x.bib, k.*never closed"),
        ("@article{k,\n title = {A}, title = {B}\n}", "x.bib, k: field 'title' appears twice"),
        ("@article{k,\n title = A\n}", "x.bib, k: cannot read"),
    ],
)
def test_a_malformed_entry_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text, "x.bib")
