"""Ids of the console's sessions, by which events name them: each is given once."""

from pathlib import Path

from alembic import command
from sqlalchemy import text
from sqlmodel import select

from gateway.console.identity.sign_up import sign_in_of
from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleSpec
from gateway.store.console_tables import SessionRow
from gateway.store.database import Database
from gateway.store.migrate import configuration, migrate
from gateway.store.sign_ins import begin_session, find_session
from gateway.store.sign_outs import end_session
from tests.harness.books import INSTALLATION

TINA = sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec())


def test_no_two_sessions_have_one_id(database: Database) -> None:
    ids = []
    for _ in range(2):
        begun = begin_session(database, INSTALLATION, TINA)
        assert begun is not None
        found = find_session(database, INSTALLATION, begun.secret)
        assert found is not None
        end_session(database, found.id, Actor("Tina"))
        ids.append(found.id)
    assert ids[0] < ids[1]


def test_nor_has_a_new_one_the_id_of_an_event(tmp_path: Path) -> None:
    """In a file of before, where ids of sessions that are over were given again."""
    database = Database(f"sqlite:///{tmp_path / 'before.db'}")
    with database.engine.connect() as connection:
        command.upgrade(configuration(connection), "0021")
        connection.execute(
            text(
                "INSERT INTO change_log"
                " (installation, account_id, kind, subject, actor, detail, created_at)"
                """ VALUES ('default', 0, 'session.begun', 's', 'a', '{"session": 7}', '')"""
            )
        )
        connection.commit()
    before = begin_session(database, INSTALLATION, TINA)
    assert before is not None
    migrate(database)
    begin_session(database, INSTALLATION, TINA)
    assert find_session(database, INSTALLATION, before.secret) is not None
    with database.read() as session:
        assert session.exec(select(SessionRow.id)).all() == [1, 8]
    database.close()
