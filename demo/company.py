"""Larkspur Cycles, a fictional maker of cargo bicycles in Ghent: its people and projects.

The tasks of the projects are in `demo.tasks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from db.models import Role, WeekDay
from demo import tasks as task_outlines

DOMAIN = "larkspur-cycles.example"
LOGIN = "ada"
PASSWORD = "pedal-gently-uphill"  # noqa: S105 - printed, and refused in production


@dataclass(frozen=True, slots=True)
class Person:
    """A person at Larkspur. `profile` is what they changed about themselves."""

    username: str
    full_name: str
    timezone: str
    is_admin: bool = False
    profile: Mapping[str, object] = field(default_factory=dict)

    @property
    def email(self) -> str:
        """Their address at the company."""
        return f"{self.username}@{DOMAIN}"


PEOPLE = (
    Person("ada", "Ada Verstraete", "Europe/Brussels", profile={"locale": "nl-BE"}),
    Person("bram", "Bram De Smet", "Europe/Brussels"),
    Person("chiara", "Chiara Moretti", "Europe/Rome", profile={"locale": "it"}),
    Person("davi", "Davi Nogueira", "America/Sao_Paulo"),
    Person("eilidh", "Eilidh Fraser", "Europe/London", profile={"locale": "en-GB"}),
    Person("farid", "Farid Haddad", "Europe/Paris", profile={"locale": "fr-FR"}),
    Person("grace", "Grace Okafor", "Africa/Lagos"),
    Person("hanna", "Hanna Niemi", "Europe/Helsinki"),
    Person("ines", "Inês Carvalho", "Europe/Lisbon", is_admin=True),
    Person("jun", "Jun Takahashi", "Asia/Tokyo", profile={"locale": "ja"}),
    Person("kai", "Kai Larsen", "America/Denver", profile={"week_start": WeekDay.SUNDAY}),
    # The company's accountant: reads everything that costs money, and changes nothing.
    Person("lena", "Lena Vogt", "Europe/Berlin", profile={"locale": "de-DE"}),
)


@dataclass(frozen=True, slots=True)
class Story:
    """A project: its members, its start (in days before now), and its work.

    The owner is the member with the role OWNER. `archived` is when it was closed, in days before
    now, or None. `why` and `done` are the parts of its tasks' descriptions.
    """

    name: str
    key: str
    color: str
    description: str
    members: Mapping[str, Role]
    began: int
    outline: str
    why: tuple[str, ...]
    done: tuple[str, ...]
    archived: int | None = None

    @property
    def owner(self) -> str:
        """The username of the owner."""
        return next(name for name, role in self.members.items() if role is Role.OWNER)


_O, _A, _E, _V = Role.OWNER, Role.ADMIN, Role.EDITOR, Role.VIEWER

STORIES = (
    Story(
        name="Wren, the compact cargo bike",
        key="WREN",
        color="#2f6f4e",
        description="The first Larkspur that fits into a lift. From the drawing to **the first "
        "fifty** on the road.\n\nOnce a week on Tuesday: ride, measure, decide.",
        members={"ada": _O, "chiara": _A, "bram": _E, "farid": _E, "jun": _E, "lena": _V},
        began=90,
        outline=task_outlines.WREN,
        why=(
            "Riders of the second prototype felt the front go light on steep starts.",
            "The lift at the town hall is 1.60 m deep; that is the length we have to beat.",
            "We decided in the Tuesday round to measure this before we argue about it again.",
            "Jun's test riders in Kyoto asked for it, independently of each other.",
        ),
        done=(
            "drawing updated and its revision raised",
            "measured on two frames, both figures noted here",
            "weight written into the sheet",
            "photo of the part on the scale",
            "Chiara has signed the drawing",
            "tried with 80 kg in the box",
        ),
    ),
    Story(
        name="Web shop",
        key="SHOP",
        color="#3b82f6",
        description="Where people choose, order and pay. The goal for this year: an order without "
        "a phone call.",
        members={"davi": _O, "ada": _A, "grace": _E, "hanna": _E, "eilidh": _E, "ines": _V},
        began=88,
        outline=task_outlines.SHOP,
        why=(
            "One in five visitors leaves at this step.",
            "Eilidh answers this question three times a day on the phone.",
            "Reported from a phone with large text; on a desktop nobody would notice.",
            "It works, and nobody dares to touch it. Let us change that before the season.",
        ),
        done=(
            "works with the keyboard alone",
            "texts in Dutch, French and English",
            "tried on a slow connection",
            "a test that fails without the change",
            "no new cookie",
            "Hanna has read the wording",
        ),
    ),
    Story(
        name="Workshop",
        key="WORK",
        color="#b45309",
        description="Orders to build, bicycles to mend, tools to look after. Whoever takes a job "
        "puts their name on it.",
        members={"bram": _O, "chiara": _E, "ada": _E, "kai": _E, "farid": _E, "lena": _V},
        began=90,
        outline=task_outlines.WORK,
        why=(
            "The customer comes on Saturday morning and has a long way home.",
            "Third time this month; let us find the cause and not only mend it.",
            "The parts are on shelf C4, in the box with the blue lid.",
            "Careful with the paint, this colour is not made any more.",
        ),
        done=(
            "torque noted on the card",
            "ridden around the block, loaded",
            "old parts in the right bins",
            "customer called",
            "hours written down",
        ),
    ),
    Story(
        name="Parts and suppliers",
        key="PARTS",
        color="#7c3aed",
        description="Everything that we buy: what it costs, when it comes, and what we do when it "
        "does not.",
        members={"farid": _O, "bram": _A, "ada": _E, "ines": _E, "jun": _E, "lena": _V},
        began=86,
        outline=task_outlines.PARTS,
        why=(
            "The lead time went from six weeks to fourteen.",
            "The last batch had 3 % that we could not use.",
            "Prices change on the first of the month.",
            "We have enough for about twenty bicycles.",
        ),
        done=(
            "two offers compared",
            "delivery date confirmed in writing",
            "sample measured against the drawing",
            "price in the list, with the date",
            "Inês has the papers for customs",
        ),
    ),
    Story(
        name="Customer care",
        key="CARE",
        color="#db2777",
        description="Whoever rides a Larkspur and has a question. Answer within a working day; be "
        "honest about what we do not know.",
        members={"eilidh": _O, "kai": _A, "hanna": _E, "bram": _E, "ada": _V},
        began=84,
        outline=task_outlines.CARE,
        why=(
            "Wrote twice already and got an answer from two of us.",
            "Rides 40 km a day with two children; is without a bicycle until we answer.",
            "The guarantee ended last month. Kindness costs us one hour here.",
            "There is a photo in the mailbox.",
        ),
        done=(
            "answered, in their language",
            "noted on the customer's card",
            "workshop knows the date",
            "invoice corrected",
            "asked whether it works now",
        ),
    ),
    Story(
        name="Spring fair",
        key="FAIR",
        color="#eab308",
        description="Four days, 36 m², three bicycles to ride. The stand has to fit into one van.",
        members={"hanna": _O, "ada": _A, "chiara": _E, "eilidh": _E, "jun": _V},
        began=62,
        outline=task_outlines.FAIR,
        why=(
            "Last year we noticed on the first morning that this was missing.",
            "The organiser's deadline is firm; late costs a third more.",
            "People decide within ten metres whether they stop.",
        ),
        done=(
            "fits into the van",
            "cost below the plan",
            "somebody else has proof-read it",
            "in the shared folder",
            "confirmed by the organiser",
        ),
    ),
    Story(
        name="Ride log",
        key="RIDE",
        color="#0891b2",
        description="The small application that reads the motor's controller: range, service, "
        "where the bicycle stands. `main` is what the testers have.",
        members={"grace": _O, "davi": _A, "ada": _E, "jun": _E, "kai": _E},
        began=75,
        outline=task_outlines.RIDE,
        why=(
            "Seen on Grace's own bicycle, so it can be shown to anybody.",
            "About 2 % of rides are concerned, all on the older controller.",
            "Testers call it *the grey screen*.",
            "We keep places on the phone; nothing of this may leave it.",
        ),
        done=(
            "a ride recorded before and after",
            "battery use measured over two hours",
            "works without network",
            "nothing personal in the log file",
            "testers told in the channel",
        ),
    ),
    Story(
        name="Move to the dock hall",
        key="MOVE",
        color="#64748b",
        description="From the old laundry to the hall at the dock, without a day on which nothing "
        "gets built. Done.",
        members={"ines": _O, "bram": _A, "ada": _E, "farid": _E, "lena": _V},
        began=90,
        archived=21,
        outline=task_outlines.MOVE,
        why=(
            "The lease of the laundry ends with the month.",
            "The paint booth needs its permit before anything else may start.",
            "The floor carries 500 kg/m²; the lathe is heavier.",
        ),
        done=(
            "in the plan of the hall",
            "invoice with Inês",
            "old place swept",
            "photo for the landlord",
        ),
    ),
)

# Ada's private notes.
PERSONAL_WHY = (
    "Before the weekend, or it will not happen.",
    "Mentioned twice already.",
    "Not urgent, but it keeps coming back.",
)
PERSONAL_DONE = ("in the calendar", "told whoever needs to know", "paper in the folder")
