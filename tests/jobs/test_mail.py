"""Mail arrives: once for a burst, to verified addresses, in both forms, and not for ever."""

from __future__ import annotations

import datetime as dt
import re
import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import aiosmtplib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from sqlalchemy import select

from auth.links import UnsubscribeLinks
from db.models import Channel, Job, JobState, NotificationKind, Task
from domain.notifications import notification as notifications
from domain.tasks import task as tasks
from jobs.mail.compose import compose
from jobs.mail.sender import FolderSender, SmtpSender
from jobs.outcomes import GiveUp
from jobs.reminders import notify_of_due
from settings import Settings
from tests.accounts import House
from tests.jobs.conftest import Letter, MailServer, Workshop, mail_server
from tests.jobs.test_notifications import Scene

DELAY = 31


@pytest.fixture
async def scene(house: House, workshop: Workshop, mail: MailServer) -> Scene:
    return await Scene(house, workshop).set()


async def deliver(scene: Scene) -> None:
    """Let the delay of mails pass."""
    await scene.workshop.all_done()
    scene.house.clock.forward(seconds=DELAY)
    await scene.workshop.run_due()


async def test_a_burst_on_one_task_is_one_mail(scene: Scene, mail: MailServer) -> None:
    task = await scene.task(scene.ada, "Dig <deep> & wide", assignee_id=scene.ben.id)
    await scene.comment(scene.ada, task, f"@{scene.ben.username}: <b>now</b>, please")
    await scene.comment(scene.cem, task, "Shall I help?")
    await deliver(scene)
    (letter,) = mail.to(scene.ben.email)
    assert letter.message["Subject"] == "3 updates on “Dig <deep> & wide”"
    for part in (letter.text, letter.html):
        assert "assigned" in part
        assert "mentioned you" in part
        assert "Shall I help?" in part
        assert f"{scene.house.settings.server.frontend_url}/tasks/task_{task.id.hex}" in part
    assert "<b>now</b>" in letter.text
    assert "<b>now</b>" not in letter.html
    assert "&lt;b&gt;now&lt;/b&gt;" in letter.html
    # What comes later is another mail.
    await scene.comment(scene.cem, task, "I came")
    await deliver(scene)
    assert len(mail.to(scene.ben.email)) == 2
    assert "I came" in mail.to(scene.ben.email)[1].text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NotificationKind.TASK_SHARED_WITH_ME, "shared “Dig” with you"),
        (NotificationKind.TASK_ASSIGNED_TO_ME, "assigned “Dig” to you"),
        (NotificationKind.TASK_COMPLETED, "completed “Dig”"),
        (NotificationKind.COMMENT_ON_MY_TASK, "commented on “Dig”"),
        (NotificationKind.MENTIONED, "mentioned you on “Dig”"),
        (
            NotificationKind.TASK_DUE_SOON,
            "“Dig” is due on {day:%A}, {day.day} {day:%B %Y} at 19:30 (UTC)",
        ),
    ],
)
async def test_each_kind_has_its_words(
    scene: Scene, mail: MailServer, kind: NotificationKind, expected: str
) -> None:
    await scene.house.do(
        scene.ben.viewer,
        notifications.update_preferences,
        choices={NotificationKind.TASK_COMPLETED: {Channel.EMAIL: True}},
    )
    due_at = scene.house.clock().replace(hour=19, minute=30, second=0, microsecond=0)
    expected = expected.format(day=due_at)
    task = await scene.task(scene.ben, due_at=due_at, assignee_id=scene.ben.id)
    if kind is NotificationKind.TASK_COMPLETED:
        await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    notice = notifications.Notice(
        recipient_id=scene.ben.id,
        kind=kind,
        actor_id=scene.ada.id,
        task_id=task.id,
    )
    async with scene.house.work() as work:
        await notifications.notify(work, [notice])
    await deliver(scene)
    (letter,) = mail.to(scene.ben.email)
    assert expected in letter.message["Subject"]
    assert expected in letter.text
    assert expected in letter.html


async def test_mail_goes_to_verified_addresses_only(scene: Scene, mail: MailServer) -> None:
    await scene.set_user(scene.ben, email_verified_at=None)
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await deliver(scene)
    assert await scene.told(scene.ben) == [NotificationKind.TASK_ASSIGNED_TO_ME]
    # Nor to one that was changed between the event and the mail.
    await scene.set_user(scene.ben, email_verified_at=scene.house.clock())
    await scene.comment(scene.cem, task, "Hello?")
    await scene.workshop.catch_up()
    await scene.set_user(scene.ben, email_verified_at=None)
    await deliver(scene)
    assert mail.to(scene.ben.email) == []


async def test_preferences_are_asked_when_the_mail_goes_out(scene: Scene, mail: MailServer) -> None:
    async def choose(**choice: object) -> None:
        await scene.house.do(scene.ben.viewer, notifications.update_preferences, **choice)

    await choose(choices={NotificationKind.MENTIONED: {Channel.EMAIL: False}})
    task = await scene.task(scene.ada)
    await scene.comment(scene.ada, task, f"@{scene.ben.username}")
    await deliver(scene)
    assert await scene.told(scene.ben) == [NotificationKind.MENTIONED]
    await scene.assign(scene.ada, task, scene.ben)
    await scene.workshop.catch_up()
    await choose(is_email_enabled=False)
    await deliver(scene)
    assert mail.to(scene.ben.email) == []
    await choose(is_email_enabled=True)
    await choose(choices={NotificationKind.COMMENT_ON_MY_TASK: {Channel.IN_APP: False}})
    await scene.comment(scene.ada, task, "By mail alone")
    await deliver(scene)
    assert len(mail.to(scene.ben.email)) == 1
    assert NotificationKind.COMMENT_ON_MY_TASK not in await scene.told(scene.ben)


async def test_no_mail_of_a_task_that_one_may_not_see_any_more(
    scene: Scene, mail: MailServer
) -> None:
    outsider = await scene.verified()
    task = await scene.task(scene.ada, assignee_id=outsider.id)
    await scene.workshop.catch_up()
    await scene.assign(scene.ada, task, None)
    await deliver(scene)
    assert mail.to(outsider.email) == []


async def test_what_is_no_longer_so_or_was_read_is_not_mailed(
    scene: Scene, mail: MailServer
) -> None:
    near = scene.house.clock() + dt.timedelta(hours=5)
    undone = await scene.task(scene.ada, "Undone", assignee_id=scene.ben.id)
    read = await scene.task(scene.ada, "Read", assignee_id=scene.ben.id)
    await scene.workshop.catch_up()
    await scene.house.do(scene.ben.viewer, notifications.mark_all_read)
    await scene.assign(scene.ada, undone, scene.cem)
    due = {
        title: await scene.task(scene.ben, title, due_at=near, assignee_id=scene.ben.id)
        for title in ("Done", "Moved", "Given away", "Still due")
    }
    await notify_of_due(scene.workshop.context)
    by = scene.ben.viewer
    await scene.house.do(by, tasks.complete, due["Done"].id, None)
    later = {"due_at": near + dt.timedelta(days=7)}
    await scene.house.do(by, tasks.update_task, due["Moved"].id, later, None)
    await scene.assign(scene.ben, due["Given away"], scene.cem)
    await deliver(scene)
    subjects = [str(letter.message["Subject"]) for letter in mail.to(scene.ben.email)]
    assert [subject.split(" is due")[0] for subject in subjects] == ["“Still due”"]
    # In the inbox, all of it happened.
    assert len(await scene.told(scene.ben)) == 6
    # What comes later says nothing of it either.
    await scene.comment(scene.cem, read, f"@{scene.ben.username}")
    await deliver(scene)
    assert "mentioned you" in str(mail.to(scene.ben.email)[-1].message["Subject"])


async def test_a_mail_that_is_sent_again_is_the_same_one(scene: Scene, mail: MailServer) -> None:
    """Its worker is killed after the server took it and before that was noted."""
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.catch_up()
    scene.house.clock.forward(seconds=DELAY)
    await scene.workshop.run_due()
    await scene.comment(scene.cem, task, "Meanwhile")
    await scene.workshop.catch_up()
    async with scene.house.work() as work:
        job = await work.session.scalar(
            select(Job).where(Job.payload.contains({"task": task.id.hex}), Job.attempts == 1)
        )
        assert job is not None
        job.state = JobState.RUNNING
    scene.house.clock.forward(seconds=DELAY)
    await scene.workshop.run_due()
    first, again, other = sorted(
        mail.to(scene.ben.email), key=lambda letter: "Meanwhile" in letter.text
    )
    assert first.message["Message-ID"] == again.message["Message-ID"]
    assert first.text == again.text
    assert other.message["Message-ID"] != first.message["Message-ID"]


async def test_what_the_server_refuses_for_now_is_tried_again_and_for_good_is_held(
    scene: Scene, mail: MailServer
) -> None:
    async def job_state(task: Task) -> tuple[JobState, str | None]:
        async with scene.house.database.session() as session:
            job = await session.scalar(
                select(Job).where(Job.payload.contains({"task": task.id.hex}))
            )
            assert job is not None
            return job.state, job.reason

    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    mail.refuse = "451 Greylisted"
    await deliver(scene)
    assert (await job_state(task))[0] is JobState.WAITING
    mail.refuse = None
    scene.house.clock.forward(minutes=5)
    await scene.workshop.run_due()
    assert len(mail.to(scene.ben.email)) == 1
    task = await scene.task(scene.ada, assignee_id=scene.cem.id)
    mail.refuse = "554 Never"
    await deliver(scene)
    state, reason = await job_state(task)
    assert state is JobState.FAILED
    assert "554 Never" in (reason or "")


def wire_headers(letter: Letter) -> dict[str, bytes]:
    """The headers as they stood on the wire, by name, with their line breaks."""
    head, _, _ = letter.wire.partition(b"\r\n\r\n")
    lines: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line.startswith((b" ", b"\t")):
            lines[-1] += b"\r\n" + line
        else:
            lines.append(line)
    pairs = (line.split(b": ", 1) for line in lines)
    return {name.decode().lower(): value for name, value in pairs}


@pytest.mark.parametrize("host", ["http://localhost", f"https://{'long.' * 30}example"])
async def test_the_link_of_a_mail_is_plain_and_turns_off_its_own_kind_alone(
    scene: Scene, mail: MailServer, host: str
) -> None:
    settings = scene.house.settings
    server = settings.server.model_copy(update={"public_url": host})
    scene.workshop.context.settings = settings.model_copy(update={"server": server})
    every = {kind: dict.fromkeys(Channel, True) for kind in NotificationKind}
    await scene.house.do(scene.ben.viewer, notifications.update_preferences, choices=every)

    async def tell() -> dict[NotificationKind, Letter]:
        """Something of each kind happens; the mails that come of it."""
        mail.letters.clear()
        async with scene.house.work() as work:
            # Of what has no task there is a mail for each.
            notices = [
                notifications.Notice(scene.ben.id, kind, message=f"This is {kind.name}.")
                for kind in NotificationKind
            ]
            await notifications.notify(work, notices)
        await deliver(scene)
        return {
            NotificationKind[str(letter.message["Subject"]).removeprefix("This is ")]: letter
            for letter in mail.to(scene.ben.email)
        }

    letters = await tell()
    left = set(NotificationKind)
    assert letters.keys() == left
    for kind, letter in letters.items():
        headers = wire_headers(letter)
        assert headers["list-unsubscribe-post"] == b"List-Unsubscribe=One-Click"
        # RFC 2369: an address in angle brackets, as it is; RFC 5322: 998 characters a line.
        found = re.fullmatch(rb"<(https?://[!-;=?-~]+)>", headers["list-unsubscribe"])
        assert found is not None
        assert all(len(line) <= 998 for line in letter.wire.split(b"\r\n"))
        address = found[1].decode()
        assert address.startswith(f"{host}/unsubscribe?token=")
        assert address in letter.text
        said = UnsubscribeLinks(settings).verified(address.partition("token=")[2])
        assert said is not None
        assert said.user_id == scene.ben.id
        stopped = [NotificationKind(number) for number in said.kinds]
        async with scene.house.work() as work:
            await notifications.stop_mail(work, said.user_id, stopped)
        left.discard(kind)
        if len(left) in {8, 4, 0}:
            assert (await tell()).keys() == left
    # What was turned off is mail, and nothing else.
    told = await scene.told(scene.ben)
    assert {kind: told.count(kind) for kind in NotificationKind} == dict.fromkeys(
        NotificationKind, 4
    )


async def test_comments_are_rendered_in_html_and_plain_in_text(
    scene: Scene, mail: MailServer
) -> None:
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    body = "**Hi** [the plan](https://x.example/plan) `code`\n\n- one\n- two <script>x</script>"
    await scene.comment(scene.cem, task, body)
    await deliver(scene)
    (letter,) = mail.to(scene.ben.email)
    assert "<strong>Hi</strong>" in letter.html
    assert 'href="https://x.example/plan"' in letter.html
    assert "<li>one</li>" in letter.html
    assert "<script>" not in letter.html
    # Some languages are written from right to left.
    assert '<blockquote dir="auto"' in letter.html
    quoted = [line for line in letter.text.splitlines() if line.startswith(">")]
    assert quoted == ["> Hi the plan code", "> one", "> two <script>x</script>"]
    assert "**" not in letter.text + letter.html


# --- how it goes out -----------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def message(settings: Settings, template: str = "reset") -> EmailMessage:
    return compose(
        settings,
        template,
        {"link": "https://app.example/reset?token=abc", "minutes": 60, "code": "123456"},
        id_=uuid4(),
        to="ben@example.com",
        name="Ben\nBcc: everybody@example.com",
        subject="Your new password\nX-Evil: yes",
        now=dt.datetime.now(dt.UTC),
    )


# The server complains of the client that hangs up on it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_tls_and_login(settings: Settings, tmp_path: Path, tls: str) -> None:
    cert_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    async with mail_server(context, implicit=tls == "implicit") as (server, port):
        right = settings.mail.model_copy(
            update={
                "host": "localhost",
                "port": port,
                "tls": tls,
                "ca_file": cert_file,
                "user": "taskloom",
                "password": SecretStr("secret"),
            }
        )
        await SmtpSender(right).send(message(settings))
        assert server.logins == [("taskloom", "secret")]
        (letter,) = server.letters
        assert letter.to == ["ben@example.com"]
        # A certificate that nobody vouches for is not talked to.
        with pytest.raises((aiosmtplib.SMTPException, ssl.SSLError)):
            await SmtpSender(right.model_copy(update={"ca_file": None})).send(message(settings))
        assert len(server.letters) == 1


async def test_no_mail_goes_out_in_the_clear_where_tls_is_asked_for(settings: Settings) -> None:
    async with mail_server() as (server, port):
        update = {"host": "127.0.0.1", "port": port, "tls": "starttls"}
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await SmtpSender(settings.mail.model_copy(update=update)).send(message(settings))
        assert server.letters == []


async def test_a_refused_recipient_is_given_up(settings: Settings) -> None:
    async with mail_server() as (server, port):
        update = {"host": "127.0.0.1", "port": port, "tls": "none"}
        server.refuse = "550 No such user"
        with pytest.raises(GiveUp, match="550"):
            await SmtpSender(settings.mail.model_copy(update=update)).send(message(settings))


@pytest.mark.parametrize("template", ["reset", "verification"])
async def test_without_a_server_mails_are_files(
    settings: Settings, tmp_path: Path, template: str
) -> None:
    sent = message(settings, template)
    sender = FolderSender(tmp_path / "mail")
    await sender.send(sent)
    await sender.send(sent)
    (file,) = (tmp_path / "mail").iterdir()
    assert file.suffix == ".eml"
    read = message_from_bytes(file.read_bytes(), policy=policy.default)
    # A line break in a name or a title makes no header.
    assert read["Bcc"] is None
    assert read["X-Evil"] is None
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    for part in read.iter_parts():
        assert "https://app.example/reset?token=abc" in part.get_content()
