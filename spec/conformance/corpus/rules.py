"""Which cases show which rules of the specification.

Owns the table of ids. A case is named by the part of the corpus and its own name, ``*`` stands for any text. Rules of
software that writes are shown by what it leaves behind, and by nodes that it keeps.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

CASES: Final[dict[str, tuple[str, ...]]] = {
    "G-001": ("bad/array-instead-of-group", "bad/group-without-node-type", "bad/zarr-format-2", "good/source"),
    "G-002": ("bad/group-without-document", "good/dimensions-and-attributes"),
    "G-003": ("bad/requires-unknown", "bad/graph-node-unknown", "unreadable/object-gone", "good/nested-group"),
    "G-004": ("good/nested-group",),
    "G-005": ("good/nested-group-consolidated",),
    "G-010": ("bad/text-*",),
    "G-011": ("good/type-uint64", "good/fill-with-a-fraction", "bad/position-is-a-fraction", "bad/fill-is-a-fraction"),
    "G-012": ("bad/limit-*", "bad/graph-doubling"),
    "G-013": ("bad/limit-depth",),
    "G-014": ("bad/limit-box-pairs",),
    "G-020": ("bad/version-*",),
    "G-021": ("bad/requires-*", "bad/*-not-listed", "good/take"),
    "G-022": ("bad/member-*", "bad/graph-node-unknown", "bad/graph-where", "bad/group-member-*"),
    "G-023": ("bad/schema-*",),
    "G-024": ("bad/environment-in-document", "bad/url-template", "bad/url-user-information"),
    "G-025": ("bad/grid-*", "good/concat-unequal-chunks"),
    "G-026": (
        *("bad/document-is-a-list", "bad/top-level-is-a-list", "bad/graph-missing", "bad/inputs-are-texts"),
        *("bad/shape-is-*", "bad/position-is-a-fraction", "bad/chunk-keys-*", "bad/folder-outside-the-view"),
    ),
    "G-027": ("bad/*",),
    "G-030": ("good/sharded*", "good/transpose-of-a-draft", "bad/codec-*", "bad/requires-unknown-codec"),
    "G-031": ("bad/chunk-of-*", "good/concat-unequal-chunks", "good/v2-fortran"),
    "G-032": (
        "good/values-*",
        "bad/array-with*",
        "bad/origins-with-location",
        "bad/origins-without-refs",
        "bad/origins-not-listed",
    ),
    "G-033": ("bad/url-*", "good/view-of-views"),
    "G-034": ("bad/access-*", "bad/*-outside-the-policy", "unreadable/tiles-table-outside-the-policy"),
    "G-035": (
        "good/v3-keys",
        "good/v2",
        "good/concat-fills",
        "good/refs-variants",
        "unreadable/object-gone",
        "unreadable/whole-object-gone",
    ),
    "G-036": ("unreadable/object-of-another-size", "unreadable/metadata-changed", "good/unpinned"),
    "G-037": ("good/origins*", "good/manifest*", "bad/origins-*"),
    "G-039": (
        *("unreadable/chunk-of-*", "unreadable/object-cut-short", "unreadable/chunk-that-is-no-gzip"),
        "unreadable/checksum",
    ),
    "G-040": ("bad/column-*", "unreadable/table-chunk-gone", "good/*-table"),
    "G-041": ("good/grown-beside", "good/save-cut-short"),
    "G-042": ("good/tiles-table", "bad/text-behind-the-end"),
    "G-043": ("bad/table-*", "unreadable/table-index-outside"),
    "G-044": ("good/shared-table",),
    "G-045": ("good/*-gaps", "bad/gaps-*"),
    "G-050": ("bad/graph-cycle-*", "bad/graph-input-*"),
    "G-051": ("bad/graph-unreachable",),
    "G-052": ("bad/graph-duplicate-*",),
    "G-053": ("bad/graph-span-*", "bad/graph-empty-span-with-start"),
    "G-054": (
        *("bad/values-*", "bad/refs-*", "bad/graph-take-axis", "good/scalar", "good/empty-axes"),
        *("bad/graph-array-not-there", "bad/graph-layout-*", "bad/graph-table-not-there", "bad/graph-empty"),
        *("bad/graph-*-of-other-*", "bad/type-*"),
    ),
    "G-055": ("bad/graph-fill-too-large",),
    "G-056": ("bad/graph-step-zero", "bad/graph-span-of-one-with-step", "good/index-*"),
    "G-046": ("good/tiles-row-values*", "bad/row-values-*", "unreadable/row-values-table-*"),
    "G-047": ("bad/row-values-of-*", "bad/row-values-not-listed"),
    "G-048": ("good/tiles-table", "bad/records-*", "unreadable/tiles-table-of-no-text"),
    "G-049": (
        "good/tiles-table",
        "bad/gaps-in-shards",
        "bad/table-shards-*",
        "unreadable/tiles-table-shard-without-rows",
    ),
    "G-057": ("good/boxes*", "bad/boxes-*"),
    "G-058": ("bad/boxes-that-overlap", "bad/boxes-not-sorted", "unreadable/boxes-table-*"),
    "G-059": ("bad/boxes-of-another-type",),
    "G-060": ("good/type-*", "bad/fill-*", "bad/graph-fill-value", "good/constant"),
    "G-061": ("bad/tiles-*", "good/tiles*", "unreadable/tiles-table-not-sorted"),
    "G-062": ("bad/tiles-layout-outside", "good/tiles"),
    "G-063": ("bad/graph-index-of-another-rank", "bad/graph-cell-*", "bad/graph-span-outside", "good/index-integer"),
    "G-064": ("bad/table-index-*", "unreadable/table-index-outside", "good/take", "good/orthogonal"),
    "G-065": ("bad/graph-transpose-*", "good/transpose"),
    "G-066": ("bad/graph-broadcast-*", "good/broadcast"),
    "G-067": ("bad/graph-concat-*", "good/concat-*"),
    "G-068": ("bad/graph-stack-of-other-shapes", "good/stack-of-transpose"),
    "G-069": ("bad/graph-overlay-*overlap*", "bad/graph-overlay-combs-that-meet", "good/overlay-*"),
    "G-070": ("bad/graph-overlay-*", "good/interleave*", "good/pad"),
    "G-071": ("bad/values-recoded-to-another-type", "bad/graph-recode-*", "good/recode-*", "good/tiles-recoded"),
    "G-072": (
        "good/unpack-*",
        "bad/graph-decode-*",
        "good/cast-*",
        "good/decode-twice",
        "unreadable/cast-of-what-does-not-fit",
    ),
    "G-073": ("bad/extension-not-listed", "bad/extension-of-another-name"),
    "G-074": ("bad/extension-not-known", "bad/extension-of-another-name"),
    "G-075": ("good/extension-written-out",),
    "G-076": ("bad/extension-with*-parameter", "bad/extension-of-inputs-*"),
    "G-077": ("bad/extension-with-module", "bad/extension-with-entry-point"),
    "G-080": ("good/save-cut-short", "good/grown-beside"),
    "G-081": ("kept/*",),
    "D-001": (
        "good/concat-packing",
        "good/concat-codecs",
        "good/refs-variants",
        "good/recode-*",
        "good/v2-streams",
        "good/type-struct",
    ),
    "D-002": ("good/concat-fills", "good/unpack-missing"),
    "D-003": ("unreadable/chunk-of-more-cells", "unreadable/chunk-of-many-zeros", "bad/limit-chunk"),
    "D-004": ("unreadable/text-that-is-no-utf-8", "good/type-string"),
    "D-006": ("good/type-string", "good/type-variable-bytes", "unreadable/variable-*"),
    "D-005": ("unreadable/checksum*",),
    "D-010": ("good/cast-roundings", "good/cast-mapped", "bad/codec-cast-*"),
    "D-011": ("good/cast-widening", "good/cast-large", "good/cast-nan"),
    "D-012": ("good/cast-out-of-range", "unreadable/cast-of-what-does-not-fit"),
    "D-020": ("good/scale-*", "bad/codec-scale-*"),
    "D-021": ("good/scale-offset",),
    "D-030": ("good/unpack-*", "good/concat-packing"),
    "D-031": ("good/unpack-wide", "good/unpack-missing"),
    "D-032": ("good/unpack-missing", "unreadable/unpack-of-what-is-no-integer"),
    "M-001": ("good/everything-in-a-row", "good/index-of-everything", "good/broadcast"),
    "M-002": ("bad/graph-overlay-outside", "good/interleave-cut"),
    "M-003": ("good/concat-fills", "good/overlay-last", "good/concat-packing"),
    "M-004": ("good/take", "good/orthogonal"),
    "M-010": ("good/overlay-first", "good/overlay-apart"),
    "M-011": ("good/concat-unequal-chunks",),
    "M-012": ("good/concat-of-itself", "good/scalar-repeated"),
    "M-020": ("bad/refs-state-unknown", "good/refs-variants"),
    "M-021": ("good/concat-fills", "unreadable/object-gone"),
    "M-030": ("good/concat-equal", "good/concat-unequal-chunks"),
    "M-031": ("good/index-aligned", "good/index-negative-step*", "good/new-axis"),
    "M-032": ("good/refs*",),
    "M-033": ("good/concat-with-constant", "good/nan-payload"),
    "M-034": ("good/transpose", "good/concat-codecs"),
    "M-035": ("good/concat-unequal-chunks",),
    "M-040": ("good/manifest*", "bad/manifest-of-an-unknown-form"),
    "M-041": ("bad/manifest-of-another-graph", "good/manifest", "good/manifest-spelled"),
    "M-042": ("good/manifest-windows",),
}
"""Rule to the cases that show it."""


def rules_of(case: str) -> list[str]:
    """Ids of the rules that a case shows.

    Parameters
    ----------
    case
        Such as ``good/take``.
    """
    return [rule for rule, names in CASES.items() if any(fnmatchcase(case, name) for name in names)]
