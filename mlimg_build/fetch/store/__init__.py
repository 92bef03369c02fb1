"""What came, under its sha256, and the ledger of what came of each URL."""
