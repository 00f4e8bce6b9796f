"""scikit-learn's hashing of words -> vectors: no model, to tell what an embedding model is worth."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from mimir_core.knowledge.index import Vectors

_DIMENSIONS = 384
"""As many as the usual embedding model has."""


class HashedWords:
    """Words and pairs of words, counted in buckets (Weinberger et al., "Feature hashing", 2009)."""

    model = f"hashed-words-{_DIMENSIONS}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of length 1 a text; of length 0 where it holds no word."""
        counted = HashingVectorizer(n_features=_DIMENSIONS, ngram_range=(1, 2)).transform(texts)
        return np.asarray(counted.toarray(), dtype=np.float32)
