"""A join with its axes turned, saved: run with ``python -m tests.comparison.transpose``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 9, dtype="int16").reshape(4, 2)
ROW = Row(
    [Part(CELLS, (2, 2), fill=-1), Part(CELLS + 8, (2, 2), fill=-1)],
    np.concatenate([CELLS, CELLS + 8]).T,
    transposed=True,
)

if __name__ == "__main__":
    main(ROW)
