"""Files of which one is compressed: run with ``python -m tests.comparison.compression``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 5, dtype="int16")
ROW = Row(
    [Part(CELLS, (2,), "gzip", fill=-1), Part(CELLS + 4, (2,), None, fill=-1)],
    np.arange(1, 9, dtype="int16"),
)

if __name__ == "__main__":
    main(ROW)
