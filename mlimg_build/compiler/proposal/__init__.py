"""Propose a spec for images and labels that are there."""
