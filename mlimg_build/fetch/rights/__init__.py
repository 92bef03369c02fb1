"""What a site and a licence say about the use of an image, as pure functions of text and headers."""
