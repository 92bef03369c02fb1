"""mlimg: one YAML spec in, a reproducible image dataset and its trained model out."""

__version__ = "0.1.0"
