"""How large an image may be: apart from `decoding`, as the command line names it before Pillow is there."""

MAX_PIXELS = 2**27
"""Pixels above which an image is refused, unless the caller says otherwise: 134,217,728.

At the 4 bytes that Pillow holds a colour pixel in, these are 512 MiB; a medium-format camera of 102
megapixels stays below (11,648 × 8,736). Pillow's own guard, `PIL.Image.MAX_IMAGE_PIXELS`, is 89,478,485.
"""
