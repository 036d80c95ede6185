"""A tracked workbench for convolutional networks on transcription-factor binding sites (TFBS)."""

__version__ = "0.1.0"
