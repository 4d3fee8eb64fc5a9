"""Files that end inside a chunk, as years of 365 days do: run with ``python -m tests.comparison.lengths``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 6, dtype="int16")
ROW = Row([Part(CELLS, (2,), fill=-1), Part(CELLS + 5, (2,), fill=-1)], np.arange(1, 11, dtype="int16"))

if __name__ == "__main__":
    main(ROW)
