"""Tests of fetching images by URL."""
