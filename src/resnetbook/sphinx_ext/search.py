"""Search that finds English words and Chinese terms of any length.

Sphinx's English index keeps a run of Chinese characters as one word, so a part of it is not found; its Chinese index
loses English stemming and whole terms. Here a Chinese run is indexed, and a query split, by pairs of characters.
"""

import re

from sphinx.search.en import SearchEnglish

_TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]")

# Sphinx calls this on every query; it must cut exactly as `split` below does.
_SPLITTER = r"""
function splitQuery(query) {
  const terms = [];
  for (const token of query.match(/[\u3400-\u9fff]+|[\p{L}\p{N}_]+/gu) || []) {
    for (const run of token.match(/[\u3400-\u9fff]+|[^\u3400-\u9fff]+/g)) {
      if (!/[\u3400-\u9fff]/.test(run) || run.length < 2) { terms.push(run); continue; }
      for (let i = 0; i + 1 < run.length; i++) terms.push(run.slice(i, i + 2));
    }
  }
  return terms;
}
"""


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of a run of characters, or the run itself when it has one character."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


class BilingualSearch(SearchEnglish):
    """English stemming and stop words; Chinese by bigrams."""

    lang = "en"
    language_name = "English and Chinese"
    js_splitter_code = _SPLITTER

    def split(self, input: str) -> list[str]:
        """Cut text into words and Chinese bigrams."""
        words: list[str] = []
        for token in _TOKEN.findall(input):
            words += bigrams(token) if _CHINESE.match(token) else [token]
        return words

    def word_filter(self, word: str) -> bool:
        """Keep every Chinese term; leave English words to the base class."""
        return bool(_CHINESE.match(word)) or super().word_filter(word)
