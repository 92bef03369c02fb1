"""Host names, addresses and URLs: read, looked up and checked."""
