"""Who tells us: one room per tool, found by looking in this folder. There is no list of tools anywhere."""
