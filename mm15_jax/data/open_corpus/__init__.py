"""The open corpus: real pictures, documents and maps from free Debian packages.

`scripts/get_open_corpus.sh DIR` obtains the packages; docs/open_corpus.md tells the rest.
"""

from mm15_jax.data.open_corpus import documents, geography, handbook, maps, screens, stamps

PREPARATIONS = (
    *stamps.PREPARATIONS,
    *documents.PREPARATIONS,
    *maps.PREPARATIONS,
    *geography.PREPARATIONS,
    *handbook.PREPARATIONS,
    *screens.PREPARATIONS,
)
