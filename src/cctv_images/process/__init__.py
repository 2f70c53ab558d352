"""Stage 2: bytes → a picture we are willing to show, in all its forms, and the one that is shown in its place."""

from cctv_images.process.fallback import Fallbacks, builtin_fallback, load_fallback
from cctv_images.process.processor import Processor
from cctv_images.process.render import Picture, Processed, Rendition

__all__ = ["Fallbacks", "Picture", "Processed", "Processor", "Rendition", "builtin_fallback", "load_fallback"]
