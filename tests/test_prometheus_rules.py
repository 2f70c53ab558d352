"""The alerting rules that are shipped: promtool finds no fault, they fire when they should, on metrics there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from needs import needs

from cctv_images.records import Fleet
from cctv_images.watch.metrics import metrics_text

ROOT = Path(__file__).parent.parent
RULES = ROOT / "docs" / "prometheus" / "cctv-images.rules.yml"


def promtool(*words: str | Path, cwd: Path) -> None:
    done = subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs("promtool")
def test_promtool_finds_no_fault_in_the_rules(tmp_path: Path) -> None:
    promtool("check", "rules", RULES, cwd=tmp_path)


@needs("promtool")
def test_the_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    shutil.copy(ROOT / "tests" / "prometheus_rules.test.yml", tmp_path)
    promtool("test", "rules", "prometheus_rules.test.yml", cwd=tmp_path)


def test_the_rules_look_only_at_metrics_and_labels_that_there_are() -> None:
    text = metrics_text(Fleet(started_at=0.0))
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    expressions = re.findall(r"expr: (.*)", RULES.read_text())
    used = {name for expression in expressions for name in re.findall(r"cctv_images_\w+", expression)}
    assert used
    assert used <= known
    for name, label, value in re.findall(r'(cctv_images_\w+)\{(\w+)="([^"]+)"\}', " ".join(expressions)):
        assert f'{name}{{{label}="{value}"}}' in text


def test_the_manual_names_the_commands_of_the_rules_and_the_units() -> None:
    said = RULES.read_text()
    for unit in re.findall(r"cctv-images-\w+\.(?:timer|service)", said):
        assert (ROOT / "systemd" / unit).is_file()
