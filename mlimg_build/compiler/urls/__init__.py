"""Images at URLs: fetched, decided about, and what is told of them in lists and sums."""
