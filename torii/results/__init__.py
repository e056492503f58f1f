"""What a finished build left behind: console log, test report, artifacts, and the one message that tells of it."""
