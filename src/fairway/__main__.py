"""`python -m fairway`, and so `torchrun --nproc-per-node 2 -m fairway fit ...`: the command line."""

import sys

from fairway.cli import main

sys.exit(main())
