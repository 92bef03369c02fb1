"""Readers of lists of labels and names, shared by the formats: blocks of lines, tables, confidences, rights."""
