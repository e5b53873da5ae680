"""`python -m pipeline`: the same as the command `pipeline`."""

import sys

from pipeline.cli import main

sys.exit(main())
