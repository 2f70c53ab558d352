"""Compare two stores of any size and copy what is missing, in constant memory.

compare.py merges two sorted listings, copier.py moves one object and says what became of it, engine.py runs both at
once; records.py keeps what is told: a small report and gzipped lists, in a folder per run.

The source is never changed, nothing is deleted, and an older object never replaces a newer one. A listing that fails,
or a source without anything that was asked for, fails the run: it is never taken for "nothing there".
"""
