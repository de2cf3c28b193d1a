"""Where the items of each benchmark come from: the hub, a local file in the original format, or the generated world.

Enters: eval settings. Leaves: items with an identity that is the same from every source. Promised: a file with the
wrong columns or a line without its brackets is refused, naming the line and what was expected; slips of the published
files are mended and counted, and what a reader must know of the items is said in the record.
"""
