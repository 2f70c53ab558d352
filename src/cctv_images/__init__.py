"""One recent picture per camera, or an honest image in its place.

inventory -> process_images (one task per camera) -> worker, every interval:
    acquire  ->  process  ->  publish
watch: how it is going (log, page, metrics, control socket, heartbeat)
"""

__version__ = "1.0.0"
