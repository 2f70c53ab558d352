"""simulate: the camera zoo alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from cctv_images.commands.common import run_async, say
from cctv_images.simulate import simulate as play


def simulate(args: argparse.Namespace) -> int:
    return run_async(
        play(
            say=say,
            cameras=args.cameras,
            inventory=Path(args.inventory) if args.inventory else None,
            output=Path(args.output) if args.output else None,
            port=args.port,
            sick_share=args.sick,
            static=args.static,
        )
    )
