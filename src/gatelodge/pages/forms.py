"""The forms of pages: their fields, the typed values, and the problems to show."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatelodge.errors import InvalidRequest, Refusal

_MAX_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Attributes:
        name: the name in the HTML. A refusal of the service uses the same name.
        missing: the sentence for an empty field; None: the field may be empty.
        secret: whether the value is never shown again, as for a password.
        trimmed: whether white space at both ends is dropped, as phone keyboards add it to names.
        many: whether it may be posted several times, as boxes of one name are. Its value is then
            all values with a blank between them; see `Form.all_of`.
    """

    name: str
    missing: str | None = None
    secret: bool = False
    trimmed: bool = False
    many: bool = False


@dataclass(slots=True)
class Form:
    """A form: empty, or with the values that were posted.

    Attributes:
        values: the posted values, by field name; secret values too.
        secrets: the names of the fields whose values are never shown again.
        many: the names of the fields that may be posted several times.
        problems: the sentences about wrong fields, by field name, in the order of the fields.
        trouble: the sentence about the form as a whole, or empty.
        code: the code of the refusal that `trouble` tells of, or empty.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    many: Collection[str] = frozenset()
    problems: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    code: str = ""

    @classmethod
    def read(cls, typed: Mapping[str, str], fields: Sequence[Field]) -> "Form":
        """Return the posted form; `problems` has an entry for each missing value.

        Args:
            typed: the posted values, by field name.
            fields: the fields of the form.

        Raises:
            InvalidRequest: a posted field is not in `fields`.
        """
        names = [each.name for each in fields]
        for name in typed:
            if name not in names:
                raise InvalidRequest(field=name[:64])
        secrets = frozenset(each.name for each in fields if each.secret)
        trimmed = {each.name for each in fields if each.trimmed}
        typed = {name: value.strip() if name in trimmed else value for name, value in typed.items()}
        return cls(
            values=dict.fromkeys(names, "") | typed,
            secrets=secrets,
            many=frozenset(each.name for each in fields if each.many),
            problems={
                each.name: each.missing
                for each in fields
                if each.missing and not typed.get(each.name)
            },
        )

    def __getitem__(self, name: str) -> str:
        """Return the value of a field."""
        return self.values[name]

    def all_of(self, name: str) -> list[str]:
        """Return the values of a field that is posted several times, each once, in their order."""
        return list(dict.fromkeys(self.values.get(name, "").split()))

    def shown(self, name: str) -> str:
        """Return the value for a field when the form is shown again; empty for secrets.

        Long texts are cut, but of a field that is posted several times no value is lost.
        """
        value = "" if name in self.secrets else self.values.get(name, "")
        return value if name in self.many else value[:_MAX_SHOWN]

    def refuse(self, refusal: Refusal, sentence: str, field: str | None) -> None:
        """Add a refusal to `problems`, or set `trouble` if it belongs to no field of the form.

        Args:
            refusal: the refusal; its `field` decides where it is shown.
            sentence: the sentence to show.
            field: the field to use if the refusal names none, or None.
        """
        name = refusal.field or field
        if name is not None and name in self.values:
            told = {name: sentence} | self.problems  # that it is missing says more
            self.problems = {each: told[each] for each in self.values if each in told}
        else:
            self.trouble, self.code = sentence, refusal.code

    def without_secrets(self) -> dict[str, Any]:
        """Return the values to make a form of that shows the same, as JSON can store them."""
        return {
            "values": {name: self.shown(name) for name in sorted(self.values)},
            "many": sorted(self.many),
            "problems": self.problems,
            "trouble": self.trouble,
            "code": self.code,
        }

    @property
    def refused(self) -> bool:
        """Whether the form has a problem to show."""
        return bool(self.problems or self.trouble)
