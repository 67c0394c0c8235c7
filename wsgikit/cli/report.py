"""The report of ``wsgikit check --deploy``: a row for each topic, as a table or as JSON."""

from __future__ import annotations

__all__ = ["Report", "make_report", "report_json", "report_table"]

import json
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from wsgikit.cli.finding import Finding

# Each topic with what it asks, in the order of the report.
TOPICS = {
    "secrets": "secrets are long, not from an example, and not in the file",
    "debug": "nothing for development is on",
    "hosts": "only the site's hosts are answered",
    "https": "visitors are led to https and stay there",
    "proxy": "addresses and schemes come from trusted proxies only",
    "cookies": "cookies go over https only and not to scripts",
    "csrf": "forms of other sites are refused",
    "csp": "injected scripts are blocked",
    "body limit": "no request can send without end",
    "stores": "what is kept is shared by all processes",
    "inside views": "metrics and debug pages are not for everybody",
    "files": "nobody else can change the configuration",
    "order": "the layers stand in the usual order",
    "other": "routes and templates can work",
}
_WIDTH = 100
_STATUS_WIDTH = 9


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a target.

    Attributes:
        target: what was checked.
        findings: what was found, in the order of the topics.
    """

    target: str
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How many findings are problems rather than notes."""
        return sum(not finding.is_note for finding in self.findings)

    def of_topic(self, topic: str) -> list[Finding]:
        """Return the findings of a topic, problems first."""
        return sorted((f for f in self.findings if f.topic == topic), key=lambda finding: finding.is_note)


def make_report(target: str, findings: Iterable[Finding]) -> Report:
    """Return the report of a target."""
    topics = list(TOPICS)
    return Report(target, tuple(sorted(findings, key=lambda finding: topics.index(finding.topic))))


def report_table(report: Report) -> str:
    """Return a report as text: topics without a finding are ``ok``."""
    column = max(map(len, TOPICS)) + 2
    lines: list[str] = []
    for topic, asked in TOPICS.items():
        found = report.of_topic(topic)
        rows = [("ok", asked)] if not found else [_row(finding) for finding in found]
        for status, text in rows:
            head = f"{topic:<{column}}{status:<{_STATUS_WIDTH}}"
            lines.append(textwrap.fill(head + text, _WIDTH, subsequent_indent=" " * len(head), break_long_words=False))
            topic = ""
    problems, notes = report.problems, len(report.findings) - report.problems
    return "\n".join([*lines, "", f"{report.target}: {_count(problems, 'problem')}, {_count(notes, 'note')}."])


def report_json(report: Report) -> str:
    """Return a report as JSON: the target, the number of problems, and the findings with their topics."""
    findings = [
        {"topic": f.topic, "status": _status(f), "where": f.where, "text": f.text}
        for topic in TOPICS
        for f in report.of_topic(topic)
    ]
    return json.dumps({"target": report.target, "problems": report.problems, "findings": findings}, indent=2)


def _row(finding: Finding) -> tuple[str, str]:
    return _status(finding), f"{finding.where}: {finding.text}" if finding.where else finding.text


def _status(finding: Finding) -> str:
    return "note" if finding.is_note else "PROBLEM"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
