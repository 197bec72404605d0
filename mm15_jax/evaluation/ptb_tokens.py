"""English text as words in the way of the Penn Treebank, for CIDEr.

pycocoevalcap runs Stanford's PTBTokenizer 3.4.1, which needs Java, lower-cases its words and drops
punctuation. These rules give the same words for captions; docs/metrics.md says where they do not.
"""

from __future__ import annotations

import re

# What pycocoevalcap drops of the tokenizer's words.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
_DROPPED = re.compile(r'"|\.{2,}')  # quotes and ellipses have many forms
_ESCAPES = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "…": "...", "–": "--", "—": "--", "£": "#", "€": "$", "¢": "cents",
    "½": "1/2", "¼": "1/4", "¾": "3/4",
}  # fmt: skip
_ABBREVIATIONS = """
jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri
dr mr mrs ms prof gen sen rep gov lt col capt sgt rev hon pres jr sr bros ph.d
st ave blvd rd mt ft vol fig pp vs etc inc ltd co corp cos dept est assn al
e.g i.e a.m p.m b.c a.d u.s u.k u.n p.s d.c
""".split()  # noqa: SIM905
_PAIRS = {
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"),
    "wanna": ("wan", "na"), "lemme": ("lem", "me"), "gimme": ("gim", "me"),
    "'tis": ("'t", "is"), "'twas": ("'t", "was"), "d'ye": ("d'", "ye"),
}  # fmt: skip
_CLITIC = re.compile(r"(.+?)(n't|'(?:s|re|ve|ll|d|m))$")
_SHORT = "|".join(map(re.escape, _ABBREVIATIONS))
_TOKEN = re.compile(
    rf"""
      https?://\S+ | www\.\S+                                # addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | (?<![\w'])[-+]?\d*(?:[.,:]\d+)+                       # 1,000  3.5  10:30 am
    | \d+(?:/\d+)+                                          # 1/2  12/25/2010
    | (?:[^\W\d_]\.){{2,}}                                    # u.s.
    | (?i:(?:{_SHORT})\.(?=\s+\S|$) | no\.(?=\s+\d))             # mr.
    | [A-Z]+(?:&[A-Z]+)+                                    # AT&T
    | (?<!\w)[^\W\d_]\.(?=\s+\S|$)                         # J. Smith
    | 'n' | 'n(?=\s)
    | y'(?=all\b)
    | [#@][^\W\d]\w*                                        # #dog
    | [^\W_]\w*(?:'(?!n')[^\W_]\w*|-\w+|/[^\W\d_]\w*|\.[^\W\d_]\w*|\.\d+-\w+)*
    | '(?:[smd]|re|ve|ll|em|til|tis|twas|cause|\d\ds?)\b
    | \.\d+                                                # mm1 .5
    | \.{{2,}} | -{{2,}} | \*+ | _+ | \#+ | [?!]+ | [^\s\w]
    """,
    re.VERBOSE,
)
_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "´": "'"})


def words_of(caption: str) -> list[str]:
    """A caption's words, lower case, without punctuation, as `"a dog's"` -> `["a", "dog", "'s"]`.

    Args:
      caption: one or more sentences, in English.
    """
    words: list[str] = []
    for token in _TOKEN.findall(caption.replace("&amp;", "&").translate(_STRAIGHT)):
        words += _split(token.lower())
    return [word for word in words if word not in PUNCTUATION and not _DROPPED.fullmatch(word)]


def _split(token: str) -> tuple[str, ...]:
    if token in _PAIRS:
        return _PAIRS[token]
    if token in _ESCAPES:
        return (_ESCAPES[token],)
    if match := _CLITIC.fullmatch(token):
        return (*_split(match[1]), match[2])
    return (token,)
