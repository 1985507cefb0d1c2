"""The life of a CreditGrant: posted once, voided once, and forgotten without a refund."""

from tests.reconcile.objects import api_key, condition, credit_grant
from tests.reconcile.world import World, later


def test_a_grant_is_posted_once(world: World) -> None:
    operator = world.operator()
    world.team.apply(credit_grant("welcome", credits=500, reason="Welcome"))
    found = world.team.wait("CreditGrant", "welcome", "Posted")
    entry = world.scalar("SELECT id FROM entry WHERE kind = 'grant'")
    assert found["status"]["entryId"] == entry
    assert found["status"]["postedTime"]
    assert world.balance() == 500
    operator.kill()
    world.operator()
    world.check()
    assert world.balance() == 500
    again = world.team.get("CreditGrant", "welcome")
    assert again is not None
    assert again["status"] == found["status"], "a restart changes nothing"


def test_a_grant_made_anew_does_not_pay_twice(shared: World) -> None:
    shared.team.apply(credit_grant("welcome"))
    shared.team.wait("CreditGrant", "welcome", "Posted")
    shared.team.delete("CreditGrant", "welcome")
    shared.team.wait_gone("CreditGrant", "welcome")
    assert shared.balance() == 100, "what was granted stays"
    shared.team.apply(credit_grant("welcome"))
    shared.team.wait("CreditGrant", "welcome", "AlreadyPosted")
    shared.team.apply(credit_grant("again", reference="invoice-1"))
    shared.team.wait("CreditGrant", "again", "Posted")
    shared.team.apply(credit_grant("other-name", reference="invoice-1"))
    shared.team.wait("CreditGrant", "other-name", "AlreadyPosted")
    assert shared.balance() == 200
    shared.check()


def test_another_amount_under_one_reference_is_a_conflict(shared: World) -> None:
    shared.team.apply(credit_grant("first", reference="invoice-1"))
    shared.team.wait("CreditGrant", "first", "Posted")
    shared.team.apply(credit_grant("second", credits=999, reference="invoice-1"))
    found = shared.team.wait("CreditGrant", "second", "IdempotencyConflict")
    assert condition(found, "Stalled")["status"] == "True"
    assert shared.balance() == 100
    shared.check()


def test_a_void_takes_back_what_is_left_once(world: World) -> None:
    operator = world.operator()
    world.team.apply(credit_grant("welcome"))
    world.team.wait("CreditGrant", "welcome", "Posted")
    world.team.apply(credit_grant("welcome", void=True))
    world.team.wait("CreditGrant", "welcome", "Voided")
    assert world.balance() == 0
    operator.kill()
    world.check()
    assert world.scalar("SELECT count(*) FROM entry WHERE kind = 'void'") == 1


def test_a_grant_expires_by_itself_and_one_that_comes_too_late_is_not_posted(shared: World) -> None:
    shared.team.apply(credit_grant("late", account="late", expiresAt=later(-60)))
    found = shared.team.wait("CreditGrant", "late", "Expired")
    assert condition(found, "Stalled")["status"] == "True"
    assert "entryId" not in found["status"]
    shared.team.apply(credit_grant("brief", expiresAt=later(5)))
    shared.team.wait("CreditGrant", "brief", "Posted")
    shared.team.wait("CreditGrant", "brief", "Expired")
    shared.check()


def test_a_grant_that_starts_later_is_posted_then_and_not_before(shared: World) -> None:
    starts = later(4)
    shared.team.apply(credit_grant("later", account="later", startsAt=starts))
    shared.team.wait("CreditGrant", "later", "Scheduled")
    found = shared.team.wait("CreditGrant", "later", "Posted")
    assert found["status"]["postedTime"] >= starts
    shared.check()


def test_the_log_names_the_field_manager_of_an_object_and_its_deletion(shared: World) -> None:
    shared.team.apply(api_key("logged", account="logged"))
    shared.team.apply(credit_grant("logged", account="logged"))
    for kind, reason in (("ApiKey", "Issued"), ("CreditGrant", "Posted")):
        shared.team.wait(kind, "logged", reason)
    shared.team.delete("ApiKey", "logged")
    shared.team.wait_gone("ApiKey", "logged")
    for kind, actor in (("key.made", "tests"), ("grant.posted", "tests"),
                        ("key.revoked", "deletion")):  # fmt: skip
        found = shared.scalar(
            "SELECT actor || ' ' || (acted_at IS NOT NULL) FROM change_log"
            f" WHERE kind = '{kind}' AND subject = '{shared.team.namespace}/logged'"
        )
        assert found == f"{actor} true"


def test_accounts_of_two_namespaces_never_meet(shared: World) -> None:
    """The operator's own namespace is watched too: it is the other team here."""
    for place in (shared.team, shared.system):
        place.apply(api_key("alice", account="shared"))
        place.wait("ApiKey", "alice", "Issued")
    shared.team.apply(credit_grant("welcome", account="shared", reference="invoice-1"))
    shared.team.wait("CreditGrant", "welcome", "Posted")
    shared.system.apply(credit_grant("welcome", "shared", 7, reference="invoice-1"))
    shared.system.wait("CreditGrant", "welcome", "Posted")
    asked = "SELECT balance FROM account WHERE namespace = :namespace AND name = 'shared'"
    assert shared.scalar(asked, namespace=shared.team.namespace) == 100
    assert shared.scalar(asked, namespace=shared.system.namespace) == 7
    shared.check()
