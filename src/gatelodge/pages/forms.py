"""What somebody typed into a page's form, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gatelodge.errors import InvalidRequest, Refusal

_MAX_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Attributes:
        name: as in the HTML and, where the service names it in a refusal, as there.
        missing: what to say when nothing was typed; None: it may stay empty.
        secret: whether it is never shown again.
    """

    name: str
    missing: str | None = None
    secret: bool = False


@dataclass(slots=True)
class Form:
    """A form, empty or as it came.

    Attributes:
        values: what was typed, by field; secrets too, which `shown` leaves out.
        secrets: the fields that are never shown again.
        problems: what is wrong, by field, in the code's language.
        trouble: what is wrong with the whole, or nothing.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    problems: dict[str, str] = field(default_factory=dict)
    trouble: str = ""

    @classmethod
    def read(cls, typed: Mapping[str, str], fields: Sequence[Field]) -> "Form":
        """Return the form as it came; what is missing is among its problems.

        Raises:
            InvalidRequest: it has a field that the page did not offer.
        """
        names = {each.name for each in fields}
        for name in typed:
            if name not in names:
                raise InvalidRequest(field=name[:64])
        return cls(
            values=dict.fromkeys(names, "") | dict(typed),
            secrets=frozenset(each.name for each in fields if each.secret),
            problems={
                each.name: each.missing
                for each in fields
                if each.missing and not typed.get(each.name)
            },
        )

    def __getitem__(self, name: str) -> str:
        """Return what was typed into a field."""
        return self.values[name]

    def shown(self, name: str) -> str:
        """Return what a field is filled with when the form is shown again."""
        return "" if name in self.secrets else self.values.get(name, "")[:_MAX_SHOWN]

    def refuse(self, refusal: Refusal, sentence: str, field: str | None) -> None:
        """Note a refusal beside its field, or above the form where it is of none."""
        name = refusal.field or field
        if name is not None and name in self.values:
            self.problems[name] = sentence
        else:
            self.trouble = sentence

    @property
    def refused(self) -> bool:
        """Whether something is wrong."""
        return bool(self.problems or self.trouble)
