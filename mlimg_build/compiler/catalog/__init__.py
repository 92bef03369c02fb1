"""Tables on disk of the images, statements and notes of each source."""
