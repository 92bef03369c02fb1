"""Images and labels as batches."""
