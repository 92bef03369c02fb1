"""From statements to labels: contradictions, implication, co-occurrence, and the proof of each label."""
