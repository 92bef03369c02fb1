"""Images that are values of a Parquet file: where each lies, and its bytes."""
