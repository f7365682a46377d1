"""The parts of one sweep: each looks after one thing that nobody else would, and may be done twice."""
