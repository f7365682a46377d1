"""Everything the system says to people, as pure functions: values in, text out; times come in, none is read.

Words of this system come from here; words of others (names, comments, titles, tags) go through `escaping`, so that
none of them can pass for ours.
"""
