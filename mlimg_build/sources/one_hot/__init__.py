"""Tables with a column for each category: which columns these are, what their cells say, and what says nothing."""
