from cctv_images.cli import main

raise SystemExit(main())
