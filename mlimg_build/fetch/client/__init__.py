"""One request: what is asked, what may come, in what time and memory."""
