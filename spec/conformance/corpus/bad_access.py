"""x."""
CASES = ()
