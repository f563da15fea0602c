"""``python -m streams``: the same as the ``streams`` command."""

import sys

from streams.cli import main

sys.exit(main())
