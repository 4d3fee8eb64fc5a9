"""The cases of the conformance corpus, and what writes them."""
