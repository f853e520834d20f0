"""Differences of settings, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framesift.tables.rows import RowId

#: What a spec holds of other files: where they are follows from settings that stand elsewhere.
CONSEQUENCES = ("cells", "selections")
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One setting that differs; `was` or `now` is None, too, where the setting is not there."""

    field: str
    was: Any
    now: Any

    def words(self, before: str = "was", after: str = "is now") -> str:
        return f"{self.field} {before} {shown(self.was)}, {after} {shown(self.now)}"

    @property
    def key(self) -> str:
        """What tells it from any other: the same setting often stands in several specs."""
        return json.dumps([self.field, self.was, self.now], sort_keys=True, default=str)


def differences(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[Difference]:
    """Settings that differ between two specs, by the names of the fields: ``selector.s_thr``."""
    first, second = dict(flat(was or {})), dict(flat(now or {}))
    found = []
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name, _ABSENT), second.get(name, _ABSENT)
        if one != other:
            found.append(Difference(name, *(None if value is _ABSENT else value for value in (one, other))))
    # `scorer: null` against a whole scorer: the null alone says nothing
    parts = {field.rsplit(".", 1)[0] for field in (item.field for item in found) if "." in field}
    return [item for item in found if not (item.field in parts and None in (item.was, item.now))]


def flat(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of all settings of a spec."""
    for name, value in spec.items():
        if not prefix and name in CONSEQUENCES:
            continue
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def row_differences(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """What two specs of a table say of its rows, in sentences; which files belong to a row is left out."""
    first = {RowId.of(cell): cell for cell in (was or {}).get("cells", ()) if "answerer" in cell}
    second = {RowId.of(cell): cell for cell in (now or {}).get("cells", ()) if "answerer" in cell}
    gone, new = [key for key in first if key not in second], [key for key in second if key not in first]
    said = []
    for key in list(gone):
        same = next((other for other in new if second[other]["id"] == first[key]["id"]), None)
        if same:  # the same files under another name
            said.append(f"the row `{key}` is now called `{same}`")
            gone.remove(key)
            new.remove(same)
    said += [f"the row `{key}` is no longer in the table" for key in gone]
    said += [f"the row `{key}` is new in the table" for key in new]
    return said


def shown(value: Any) -> str:
    """A value as a reader would write it."""
    if value is None:
        return "not set"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
