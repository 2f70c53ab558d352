"""Event names are literals of a closed list, wherever they are logged and documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cctv_images.errors import MEANINGS
from cctv_images.records import Fleet
from cctv_images.retain.reasons import LOSSES, REASONS
from cctv_images.retain.sync.tally import CLASSES
from cctv_images.states import Health
from cctv_images.watch.events import EVENTS
from cctv_images.watch.metrics import metrics_text

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def logged(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call like log.info(…), self.log.warning(…), _log.error(…)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            target = ast.unparse(node.func.value).split("(")[0].split(".")[-1]
            if target in ("log", "_log"):
                yield node


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_only_events_of_the_closed_list_are_logged(path: Path) -> None:
    for call in logged(ast.parse(path.read_text())):
        events = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        assert set(events) <= set(EVENTS), f"{path}:{call.lineno}"
        assert events or call.args, f"{path}:{call.lineno} has no event"


def test_events_that_states_and_gates_hand_on_are_in_the_list_too() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    handed_on = set(
        re.findall(r'"((?:camera|uplink|store)_(?:failing|disabled|recovered|revived|failed|suspected))"', text)
    )
    assert handed_on <= set(EVENTS)


def test_the_operations_manual_lists_exactly_these_events_error_states_and_metrics() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    events = {f"| `{name}` | {meaning} |" for name, meaning in EVENTS.items()}
    reasons = {
        f"| `{state}` | {m.means} | {'yes' if m.retry else 'no'} | {m.remedy} |" for state, m in MEANINGS.items()
    }
    metrics = {
        f"| `{name}` | {said} |"
        for name, said in re.findall(r"# HELP (cctv_images_\w+) (.*)", metrics_text(Fleet(started_at=0.0)))
    }
    gaps = {f"| `{word}` | {meaning} |" for word, meaning in REASONS.items()}
    gaps |= {f"| `{word}` | {means} | {remedy} |" for word, (means, remedy) in LOSSES.items()}
    told = set(re.findall(r"^\| `[a-z_]+` \| .* \|$", manual, re.MULTILINE))
    assert events | reasons | metrics | gaps <= told
    slugs = {line.split("`")[1] for line in told}
    known = {*EVENTS, *MEANINGS, *REASONS, *LOSSES, *CLASSES, *Health, *(line.split("`")[1] for line in metrics)}
    assert slugs <= known, "named in the manual and nowhere else"


def test_every_event_has_a_meaning_in_one_line() -> None:
    assert all(meaning and "\n" not in meaning for meaning in EVENTS.values())
