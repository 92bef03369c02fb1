"""Fetches images by URL: a client that is polite and bounded, a store of what came, a ledger of what did not."""
