"""What is true: pure functions over facts, standard library only."""
