"""Task execution and the store of results, independent of images and labels."""
