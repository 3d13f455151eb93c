"""The house: seats and money. Knows nothing of the web door (`service`) or the engine room (`workers`)."""
