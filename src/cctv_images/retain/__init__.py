"""Account for every slot, and keep what the archive is told to keep.

Ledger (ledger.py): what became of each slot, written beside the cycles and read by `ledger` and `ledger verify`.
"""
