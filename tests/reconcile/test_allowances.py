"""CreditAllowances: the plan, pure, and their life in a cluster."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.allowances import period_at
from gateway.core.spec import API_VERSION, CreditAllowance, parse_document
from gateway.store.allowance_rows import DUE_MAX, AllowanceState, DueCredits
from gateway_operator.plan.actions import AllowanceAction, KeepSince, PostCredits, Report
from gateway_operator.plan.creditallowance import plan_allowance
from gateway_operator.resources.creditallowance import CreditAllowanceReason as Reason
from gateway_operator.resources.creditallowance import condition_of
from tests.harness.gateway import wait_until
from tests.reconcile.objects import api_key, condition, credit_allowance
from tests.reconcile.world import World, later

NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)
DAY = period_at("day", NOW)
YESTERDAY = period_at("day", NOW - timedelta(days=1))


def wanted(**spec: Any) -> CreditAllowance:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "CreditAllowance",
            "metadata": {"name": "daily", "namespace": "team"},
            "spec": {"account": "alice", "credits": 5, "every": "day", **spec},
        }
    )
    assert isinstance(document, CreditAllowance)
    return document


DUE = DueCredits("alice", DAY)
OLD = DueCredits("alice", YESTERDAY)


@pytest.mark.parametrize(
    ("since", "due", "plan"),
    [
        (None, (DUE,), [KeepSince(DAY.begin), PostCredits(DUE), Report()]),
        (DAY.begin, (DUE,), [PostCredits(DUE), Report()]),
        (DAY.begin, (), [Report()]),
        (
            YESTERDAY.begin,
            (OLD, DUE),
            [PostCredits(OLD), PostCredits(DUE), KeepSince(DAY.begin), Report()],
        ),
        (YESTERDAY.begin, (), [KeepSince(DAY.begin), Report()]),
    ],
)
def test_what_is_due_is_posted_in_order_before_it_is_let_go(
    since: datetime | None, due: tuple[DueCredits, ...], plan: list[AllowanceAction]
) -> None:
    assert plan_allowance(wanted(), AllowanceState(since, None, due), NOW) == plan


def test_periods_stay_due_while_not_all_accounts_were_found() -> None:
    many = AllowanceState(YESTERDAY.begin, None, (OLD,) * DUE_MAX)
    assert KeepSince(DAY.begin) not in plan_allowance(wanted(), many, NOW)


@pytest.mark.parametrize(
    ("spec", "is_done", "reason", "state"),
    [
        ({}, True, Reason.POSTED, "ready"),
        ({}, False, Reason.POSTING, "waiting"),
        ({"suspended": True}, True, Reason.SUSPENDED, "ready"),
        ({"startsAt": "2026-10-16T00:00:00Z"}, True, Reason.SCHEDULED, "ready"),
        ({"endsAt": "2026-10-15T00:00:00Z"}, True, Reason.ENDED, "ready"),
    ],
)
def test_conditions(spec: dict[str, Any], is_done: bool, reason: Reason, state: str) -> None:
    found = condition_of(wanted(**spec), NOW, is_done=is_done)
    assert (found.reason, found.state) == (reason, state)


def test_each_account_gets_its_credits_once_and_later_ones_too(world: World) -> None:
    operator = world.operator()
    for name in ("ann", "anne", "bob"):
        world.team.apply(api_key(name, account=name))
        world.team.wait("ApiKey", name, "Issued")
    world.team.apply(credit_allowance("monthly", accounts="an*", credits=500))
    found = world.team.wait("CreditAllowance", "monthly", "Posted")
    assert found["status"]["nextPostTime"].endswith("-01T00:00:00Z")
    assert found["status"]["lastPostedTime"]
    world.team.apply(api_key("andy", account="andy"))
    world.team.wait("ApiKey", "andy", "Issued")
    posted = "SELECT count(*) FROM credit_grant WHERE identity LIKE '%/allowance:monthly:%'"
    wait_until(lambda: world.scalar(posted) == 3, "the new account's credits")
    operator.kill()
    world.operator()
    world.check()
    assert world.scalar(posted) == 3
    assert {world.balance(name) for name in ("ann", "anne", "andy")} == {500}
    assert world.balance("bob") == 0


def test_a_start_is_waited_for(shared: World) -> None:
    starts = later(4)
    shared.team.apply(credit_allowance("first", account="first", every="day", startsAt=starts))
    shared.team.wait("CreditAllowance", "first", "Scheduled")
    found = shared.team.wait("CreditAllowance", "first", "Posted")
    assert found["status"]["lastPostedTime"] >= starts
    assert condition(found, "Ready")["message"] == "100 credits are posted every day"
    shared.check()


def test_missed_periods_are_made_up_for_and_none_while_it_is_suspended(shared: World) -> None:
    daily = {"account": "daily", "every": "day", "credits": 7, "expires": "never"}
    shared.team.apply(credit_allowance("daily", **daily))
    shared.team.wait("CreditAllowance", "daily", "Posted")
    where = f"WHERE namespace = '{shared.team.namespace}' AND name = 'daily'"
    shared.execute(f"UPDATE allowance SET since = since - interval '3 days' {where}")
    wait_until(lambda: shared.balance("daily") == 28, "the three days before")
    shared.team.apply(credit_allowance("daily", **daily, suspended=True))
    found = shared.team.wait("CreditAllowance", "daily", "Suspended")
    assert "nextPostTime" not in found["status"]
    shared.check()
