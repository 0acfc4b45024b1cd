"""lookalike finds and classifies images by their lookalikes."""

from lookalike.telemetry import turn_off

__version__ = "0.1.0"

# Here, because whatever is imported of lookalike, in whichever process, this comes first.
turn_off()
