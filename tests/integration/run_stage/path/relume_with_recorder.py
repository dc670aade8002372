"""``relume``, with the recorder in place of the watch."""

import sys

import relume.cli

sys.modules["relume.cli.run"].WATCHING = "recorder"
relume.cli.main()
