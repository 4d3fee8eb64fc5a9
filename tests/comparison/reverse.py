"""A join read backwards, saved: run with ``python -m tests.comparison.reverse``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 5, dtype="int16")
ROW = Row(
    [Part(CELLS, (1,), fill=-1), Part(CELLS + 4, (1,), fill=-1)],
    np.arange(8, 0, -1, dtype="int16"),
    key=(slice(None, None, -1),),
)

if __name__ == "__main__":
    main(ROW)
