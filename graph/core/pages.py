"""Pages of the web application (`TASKLOOM_FRONTEND_URL`) that the API and its messages link to.

docs/web-application.md lists them for the authors of web applications.
"""

from __future__ import annotations

from uuid import UUID

from db.models import Comment, Project, Task
from graph.core import ids


def task_page(frontend_url: str, task_id: UUID) -> str:
    """The page of a task."""
    return f"{frontend_url}/tasks/{ids.encode(Task, task_id)}"


def project_page(frontend_url: str, project_id: UUID) -> str:
    """The page of a project."""
    return f"{frontend_url}/projects/{ids.encode(Project, project_id)}"


def comment_page(frontend_url: str, task_id: UUID, comment_id: UUID) -> str:
    """The page of a task, at one of its comments."""
    return f"{task_page(frontend_url, task_id)}#{ids.encode(Comment, comment_id)}"
