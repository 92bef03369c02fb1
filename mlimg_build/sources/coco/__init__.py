"""COCO's JSON as a stream: its tokens, its rows, what is held of its images, and what an exhaustive file denies."""
