"""A package, so that what runs is stopped when the last of its tests is over, and not when all tests are."""
