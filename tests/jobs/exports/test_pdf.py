"""What the PDF files of exports hold."""

from __future__ import annotations

import datetime as dt
import io
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from pypdf import PdfReader

from jobs.worker_context import WorkerContext
from tests.factories import World, gid
from tests.graph.time.test_time_report import entry
from tests.jobs.exports.calls import START, ask, fetched, make


def words_of(body: bytes) -> str:
    return " ".join(PdfReader(io.BytesIO(body)).pages[0].extract_text().split())


@pytest.mark.parametrize("projects", [1, 40])
async def test_pdf_is_a_document(world: World, context: WorkerContext, projects: int) -> None:
    ada = await world.person()
    for n in range(projects):
        project = await world.project(ada, name=f"Project {n} Żółć")
        await world.rows(entry(ada, START + dt.timedelta(days=n), 7200, project=project))
    export_id = await ask(world, ada, format="PDF", groupBy=["PROJECT", "DAY"])
    await make(context, export_id)
    response, body = await fetched(world, ada, export_id)
    assert response.headers["content-type"] == "application/pdf"
    assert body.startswith(b"%PDF-")
    assert body.rstrip().endswith(b"%%EOF")
    assert body.count(b"/Type /Page\n") == (1 if projects == 1 else 3)


@pytest.mark.parametrize(
    ("days", "unit", "labels"),
    [
        # Not every bar has a label.
        (("2026-02-20", "2026-03-20"), "day", ("02-20", "03-19")),
        (("2025-06-04", "2026-03-20"), "week", ("06-02", "03-09")),
        (("2022-01-05", "2026-03-20"), "month", ("2022-01", "2026-01")),
        (("1990-01-05", "2026-03-20"), "year", ("1990", "2026")),
    ],
)
async def test_the_chart_spans_the_days_that_were_asked_for(
    world: World, context: WorkerContext, days: tuple[str, str], unit: str, labels: tuple[str, str]
) -> None:
    ada = await world.person()
    await world.rows(entry(ada, START, 3600))
    export_id = await ask(
        world, ada, format="PDF", filter=dict(zip(("firstDay", "lastDay"), days, strict=True))
    )
    await make(context, export_id)
    text = words_of((await fetched(world, ada, export_id))[1])
    chart = text.partition(f"Hours by {unit}")[2].partition("Time Billable")[0].split()
    shown = [word for word in chart if word != "h" and len(word) > 3 and "." not in word]
    assert (shown[0], shown[-1]) == labels


async def test_a_pdf_is_written_with_the_operator_s_fonts(
    world: World, context: WorkerContext, tmp_path: Path
) -> None:
    spec = find_spec("justmytype_intl_sea")
    assert spec is not None
    assert spec.origin is not None
    (file,) = Path(spec.origin).parent.rglob("NotoSansKhmer*.ttf")
    shutil.copy(file, tmp_path)
    ada = await world.person()
    project = await world.project(ada, name="គម្រោង")
    await world.rows(entry(ada, START, 3600, project=project))

    async def text(fonts_dir: Path | None) -> str:
        exports = context.settings.exports.model_copy(update={"fonts_dir": fonts_dir})
        settings = context.settings.model_copy(update={"exports": exports})
        export_id = await ask(world, ada, format="PDF", groupBy=["PROJECT"])
        await make(replace(context, settings=settings), export_id)
        return words_of((await fetched(world, ada, export_id))[1])

    assert "?" in await text(None)
    assert "?" not in await text(tmp_path)


async def test_a_filter_stands_in_a_pdf_as_a_sentence(world: World, context: WorkerContext) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, name="Bridge")
    hidden = await world.project(bob)
    task = await world.task(ada, "Dig", project_id=project.id)
    entries = {
        "project": {"id": {"in": [gid(project), gid(hidden)]}},
        "isBillable": True,
        "tags": {"some": {"eq": "deep"}},
        "duration": {"gte": 60},
        "or": [{"task": {"isNull": True}}, {"task": {"id": {"eq": gid(task)}}}],
        "not": {"task": {"title": {"contains": "x"}}},
        "startedAt": {"lt": "2026-06-01T00:00:00Z"},
    }
    export_id = await ask(world, ada, format="PDF", filter={"entries": entries})
    await make(context, export_id)
    text = words_of((await fetched(world, ada, export_id))[1])
    for part in (
        "the project is “Bridge” or one that you cannot see",
        "the entry is billable",
        "a tag is “deep”",
        "the duration in seconds is at least 60",
        "(the task is not set or the task is “Dig”)",
        "not (the task's title contains “x”)",
        "the start is before 2026-06-01T00:00:00Z",
    ):
        assert part in text, (part, text)
    assert "Only entries where" in text
    assert "{" not in text
