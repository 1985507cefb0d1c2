"""Accounts: the plan, pure, and their life in a cluster."""

from gateway.core.spec import CreditLimits
from gateway.store.group_rows import AccountState
from gateway_operator.plan.account import plan_account, shown_balance
from gateway_operator.plan.actions import ApplyAccount, Report
from tests.reconcile.objects import account, credit_grant
from tests.reconcile.world import World
from tests.store.test_groups import account_object

ROW = AccountState(
    id=1,
    namespace="team",
    name="alice",
    parent=None,
    limits=CreditLimits(credits=5),
    child_limits=CreditLimits(),
    object_name="alice",
    object_uid="",
    balance=1000,
    granted=10_000,
)


def test_a_row_is_written_only_where_it_differs() -> None:
    wanted = account_object("alice", limits={"credits": 5})
    assert plan_account(wanted, None) == [ApplyAccount(), Report()]
    assert plan_account(wanted, ROW) == [Report()]
    assert plan_account(account_object("alice"), ROW) == [ApplyAccount(), Report()]
    assert plan_account(account_object("alice", "other"), ROW) == [Report()]


def test_a_balance_is_shown_again_when_it_has_changed_by_a_hundredth() -> None:
    assert [
        shown_balance({"status": {"balance": shown}}, ROW) for shown in (1000, 950, 1100, None)
    ] == [1000, 950, 1000, 1000]


def test_limits_come_and_go_with_their_object(shared: World) -> None:
    limits = "SELECT count(*) FROM account WHERE credits = 7 AND parent_id IS NOT NULL"
    shared.team.apply(credit_grant("grant-member", account="member", credits=40))
    shared.team.apply(account("member", parent="lab", limits={"credits": 7}))
    shared.team.wait("Account", "member", "Applied")
    assert shared.scalar(limits) == 1
    shared.team.eventually(
        lambda: (shared.team.get("Account", "member") or {})["status"].get("balance") == 40,
        "the balance in the status",
    )
    second = account("member", limits={"credits": 1000})
    second["metadata"]["name"] = "second"
    shared.team.apply(second)
    shared.team.wait("Account", "second", "AccountTaken")
    lab = account("lab", parent="member")
    shared.team.apply(lab)
    shared.team.wait("Account", "lab", "InvalidParent")
    shared.team.delete("Account", "member")
    shared.team.wait("Account", "second", "Applied")
    shared.team.wait("Account", "lab", "Applied")
    assert shared.scalar(limits) == 0
    shared.check()
