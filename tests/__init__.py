"""The tests of mlimg."""
