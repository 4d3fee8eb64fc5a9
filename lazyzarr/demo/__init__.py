"""A demonstration on real data: three months of an ocean model, joined without copying a value.

`lazyzarr.demo.archive` makes the files, `lazyzarr.demo.story` joins, saves, reopens and compares them,
`lazyzarr.demo.reopen` is the other process, `lazyzarr.demo.report` writes the page. Needs the extra ``demo``.
"""
