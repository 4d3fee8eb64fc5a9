"""Random stored arrays, random graphs over them, and random programs: what the property tests draw from."""
