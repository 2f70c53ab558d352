"""What the commands do: one function each, (parsed arguments) -> exit code. cli.py has their names and help."""


class CommandError(Exception):
    """Why a command ends with exit code 1, as a sentence."""
