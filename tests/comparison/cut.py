"""A slice that begins inside a chunk, of a join, saved: run with ``python -m tests.comparison.cut``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 5, dtype="int16")
ROW = Row(
    [Part(CELLS, (2,), fill=-1), Part(CELLS + 4, (2,), fill=-1)],
    np.arange(2, 9, dtype="int16"),
    key=(slice(1, None),),
)

if __name__ == "__main__":
    main(ROW)
