"""`python -m toolrm_guard.cli`, where the script is not on the path."""

import sys

from toolrm_guard.cli import main

sys.exit(main())
