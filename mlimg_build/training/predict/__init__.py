"""Predictions and features of images."""
