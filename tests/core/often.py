"""How often a law is tried: in full, or by a few examples in a mutation run (tests.mutation.quick)."""

from hypothesis import settings

#: Examples of a law against one mutant.
FEW = 6


def often(examples: int) -> int:
    """So many examples, or a few in a mutation run."""
    return FEW if settings.get_current_profile_name() == "mutation" else examples
