"""Sources as tables on disk: their images, statements and notes."""
