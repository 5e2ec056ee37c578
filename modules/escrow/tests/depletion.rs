//! Money that runs out, comes back, or does not. Lease 1 costs 1 uve per second from T0.

mod common;
use common::*;
use escrow::types::Instant;
use escrow::{AccountState, Error, Happened, MeterState, Outcome, PaymentState};

#[test]
fn money_that_runs_out_suspends_every_lease_at_that_moment() {
    let mut w = World::leased(300);
    w.open_payment(2, 7200).unwrap();
    w.at(T0 + 100 * SECOND - 1);
    assert_eq!(w.escrow.due(&w.ctx, 9), Ok(vec![]));
    w.at(T0 + 101 * SECOND);
    w.events();
    assert_eq!(w.escrow.due(&w.ctx, 9), Ok(vec![dep()]));
    assert_eq!(w.touch_as_market(&dep()), [Happened::Depleted { at: T0 + 100 * SECOND }]);
    assert_eq!(w.events(), ["AccountDepleted", "PaymentStopped", "PaymentStopped"]);
    for gseq in [1, 2] {
        assert_eq!(w.meter(gseq).state, MeterState::Suspended);
        assert_eq!(w.meter(gseq).last().stop, Some(T0 + 100 * SECOND));
        assert_eq!(w.escrow.lease_suspended(&w.ctx, &lease(gseq)), Ok(true));
    }
    assert_eq!(w.escrow.funds(&w.ctx, &dep()), Ok(escrow::Funds::Depleted));
    assert_eq!(w.row().spendable(w.ctx.time()), 0);
}

#[test]
fn nobody_is_overdrawn_however_late_anybody_looks() {
    let mut w = World::leased(300);
    w.at(T0 + 4 * MINUTE);
    assert_eq!(w.record(1, 0, 2 * MINUTE, u64::MAX).unwrap().paid_uve, 120);
    w.at(T0 + 10 * MINUTE);
    let outcome = w.record(2, 2 * MINUTE, 10 * MINUTE, u64::MAX).unwrap();
    assert_eq!((outcome.settled_ms, outcome.paid_uve), (T0 + 5 * MINUTE, 180));
    assert_eq!((w.held_by_escrow(), w.balance(payout())), (0, 300));
}

#[test]
fn what_is_not_due_costs_one_read_and_no_write() {
    let mut w = World::leased(300);
    w.at(T0 + MINUTE);
    let gas = w.ctx.gas().used();
    assert_eq!(w.escrow.due(&w.ctx, 10), Ok(vec![]));
    assert!(w.ctx.gas().used() - gas < 100);
    assert_eq!(w.touch_as_market(&dep()), []);
    assert_eq!((w.ctx.rows_written(), w.events()), (0, vec![]));
}

#[test]
fn accounts_are_due_in_the_order_of_time() {
    let mut w = World::leased(300);
    let other = |dseq| kernel::DeploymentId { owner: bob(), dseq };
    for (dseq, uve) in [(1, 200), (2, 100), (3, 400)] {
        let id = escrow::AccountId::Deployment(other(dseq));
        w.tx(|e, ctx| e.open(ctx, id, &bob(), &bob(), uve)).unwrap();
        w.tx(|e, ctx| e.open_payment(ctx, &other(dseq).group(1).order(1).bid(provider()), 3600)).unwrap();
    }
    w.at(T0 + 350 * SECOND);
    assert_eq!(w.escrow.due(&w.ctx, 9), Ok(vec![other(2), other(1), dep()]));
    assert_eq!(w.escrow.due(&w.ctx, 2), Ok(vec![other(2), other(1)]));
}

#[test]
fn a_top_up_that_covers_the_runway_resumes_with_a_new_payment_from_now() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.at(T0 + 7 * MINUTE);
    w.deposit(bob(), 59).unwrap();
    assert_eq!(w.row().state, AccountState::Depleted);
    w.events();
    w.deposit(alice(), 10).unwrap();
    assert_eq!(w.events(), ["Deposited", "AccountResumed", "PaymentOpened"]);
    let meter = w.meter(1);
    assert_eq!((w.row().state, meter.state, meter.payments.len()), (AccountState::Open, MeterState::Running, 2));
    assert_eq!((meter.last().number, meter.last().opened), (2, T0 + 7 * MINUTE));
    assert_eq!(w.row().due(), Some(T0 + 7 * MINUTE + 69 * SECOND));
}

#[test]
fn a_top_up_of_an_account_that_ran_dry_unseen_first_stops_it() {
    let mut w = World::leased(300);
    w.at(T0 + 7 * MINUTE);
    w.deposit(bob(), 100).unwrap();
    let meter = w.meter(1);
    assert_eq!(meter.payments[0].stop, Some(T0 + 5 * MINUTE));
    assert_eq!(meter.payments[1].opened, T0 + 7 * MINUTE);
}

#[test]
fn a_record_that_gives_enough_back_resumes() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.at(T0 + 6 * MINUTE);
    w.events();
    let outcome = w.record(1, 0, 5 * MINUTE, 240 * SECOND).unwrap();
    assert_eq!(w.events(), ["UsageSettled", "PaymentDone", "AccountResumed", "PaymentOpened"]);
    assert_eq!((outcome.paid_uve, outcome.settled_ms), (240, T0 + 6 * MINUTE));
    assert_eq!((w.row().state, w.meter(1).payments.len()), (AccountState::Open, 1));
}

#[test]
fn the_end_of_a_final_window_resumes_what_it_pays_for() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.block_at(T0 + 10 * MINUTE - 1);
    assert_eq!(w.row().state, AccountState::Depleted);
    w.block_at(T0 + 10 * MINUTE);
    assert_eq!((w.row().state, w.meter(1).last().number), (AccountState::Open, 2));
    assert_eq!(w.meter(1).payments.len(), 1);
}

#[test]
fn records_settle_the_stopped_payment_before_the_new_one() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.at(T0 + 7 * MINUTE);
    w.deposit(bob(), 300).unwrap();
    w.at(T0 + 8 * MINUTE);
    // The period reaches into both; only the first is paid, and the answer says where to go on.
    let outcome = w.record(1, 0, 8 * MINUTE, u64::MAX).unwrap();
    assert_eq!(outcome, Outcome { settled_ms: T0 + 7 * MINUTE, served_ms: 5 * MINUTE, paid_uve: 300, duplicate: false });
    let error = w.record(2, 6 * MINUTE, 8 * MINUTE, 1).unwrap_err();
    let why = "when the lease resumed";
    assert_eq!(error, Error::Overlap { got: Instant(T0 + 6 * MINUTE), expected: Instant(T0 + 7 * MINUTE), why });
    assert_eq!(w.record(2, 7 * MINUTE, 8 * MINUTE, u64::MAX).unwrap().paid_uve, 60);
}

#[test]
fn a_record_that_starts_after_a_stopped_payment_gives_what_that_kept_back() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.at(T0 + 7 * MINUTE);
    w.deposit(bob(), 300).unwrap();
    w.at(T0 + 8 * MINUTE);
    assert_eq!(amount(&w.status().spendable), 240);
    assert_eq!(w.record(1, 7 * MINUTE, 8 * MINUTE, u64::MAX).unwrap().paid_uve, 60);
    assert_eq!((amount(&w.status().spendable), w.meter(1).payments.len()), (540, 1));
}

#[test]
fn after_the_grace_period_the_leases_end_and_the_account_stays() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.deposit(bob(), 50).unwrap();
    w.record(1, 0, 5 * MINUTE, 299 * SECOND).unwrap(); // 51 uve are not a runway
    w.block_at(T0 + 15 * MINUTE - 1);
    assert_eq!((w.evicted.len(), w.row().state), (0, AccountState::Depleted));
    w.at(T0 + 15 * MINUTE);
    w.events();
    assert_eq!(w.touch_as_market(&dep()), [Happened::GraceOver { leases: vec![lease(1)] }]);
    assert_eq!(w.touch_as_market(&dep()), []);
    assert_eq!((w.row().state, w.meter(1).state), (AccountState::Open, MeterState::Closed));
    assert_eq!((w.row().balance, w.events()), (uve(51), vec!["AccountResumed".to_string()]));
    w.deposit(alice(), 100).unwrap();
    w.open_payment(2, 3600).unwrap();
}

#[test]
fn nothing_else_is_done_before_the_caller_has_heard_that_the_grace_period_is_over() {
    let mut w = World::leased(300);
    w.block_at(T0 + 5 * MINUTE);
    w.record(1, 0, 5 * MINUTE, 299 * SECOND).unwrap();
    w.at(T0 + 15 * MINUTE);
    let over = Error::GraceOver(account().into());
    assert_eq!(w.deposit(bob(), 500), Err(over.clone()));
    assert_eq!(w.record(2, 0, 5 * MINUTE, 1), Err(over.clone()));
    assert_eq!(w.close_lease(1), Err(over.clone()));
    assert_eq!(w.close(), Err(over.clone()));
    assert_eq!(w.open_payment(2, 5), Err(over.clone()));
    assert_eq!(w.tx(|e, ctx| e.withdraw_spare(ctx, &dep())), Err(over));
    w.touch_as_market(&dep());
    w.deposit(bob(), 500).unwrap();
}

#[test]
fn money_that_a_window_frees_at_the_end_of_the_grace_period_still_resumes() {
    let mut params = lab_params();
    params["depletion_grace"] = "300s".into();
    let mut w = World::new(params);
    w.tx(|e, ctx| e.open(ctx, account(), &alice(), &alice(), 300)).unwrap();
    w.open_payment(1, 3600).unwrap();
    w.block_at(T0 + 5 * MINUTE);
    w.block_at(T0 + 10 * MINUTE);
    assert_eq!((w.row().state, w.evicted.len()), (AccountState::Open, 0));
}

#[test]
fn closing_the_last_suspended_lease_opens_the_account() {
    let mut w = World::leased(300);
    w.open_payment(2, 3600).unwrap();
    w.block_at(T0 + 150 * SECOND);
    w.close_lease(1).unwrap();
    assert_eq!((w.row().state, w.row().suspended_rate), (AccountState::Depleted, 3600));
    w.close_lease(2).unwrap();
    assert_eq!((w.row().state, w.row().suspended_rate), (AccountState::Open, 0));
}

#[test]
fn closing_one_suspended_lease_can_resume_the_others() {
    let mut w = World::leased(300);
    w.open_payment(2, 7200).unwrap();
    w.block_at(T0 + 100 * SECOND);
    w.deposit(bob(), 60).unwrap();
    assert_eq!(w.row().state, AccountState::Depleted);
    w.close_lease(2).unwrap();
    assert_eq!((w.row().state, w.row().rate), (AccountState::Open, 3600));
}

#[test]
fn a_depleted_account_closes_and_its_suspended_leases_with_it() {
    let mut w = World::leased(300);
    w.block_at(T0 + 6 * MINUTE);
    w.close().unwrap();
    assert_eq!((w.meter(1).state, w.row().state), (MeterState::Closed, AccountState::Closed));
    assert_eq!(w.spent(alice()), 300);
    w.record(1, 0, 5 * MINUTE, 100 * SECOND).unwrap();
    assert_eq!((w.spent(alice()), w.held_by_escrow()), (100, 0));
    w.close_lease(1).unwrap();
}

#[test]
fn a_lease_that_stops_and_goes_on_keeps_one_meter_and_counts_all_it_was_paid() {
    let mut w = World::leased(100);
    let mut sequence = 0;
    for round in 0..5 {
        let start = round * 10 * MINUTE;
        w.block_at(T0 + start + 2 * MINUTE);
        sequence += 1;
        w.record(sequence, start, start + 100 * SECOND, 70_400).unwrap();
        w.block_at(T0 + start + 10 * MINUTE);
        w.deposit(alice(), 71).unwrap();
    }
    let meter = w.meter(1);
    assert_eq!((meter.payments.len(), meter.last().number, meter.paid), (1, 6, 5 * 70));
    assert_eq!(w.balance(payout()), 5 * 70);
    assert_eq!(meter.last().state(), PaymentState::Running);
}

#[test]
fn an_account_that_cannot_be_handled_is_set_aside_until_somebody_touches_it() {
    let mut w = World::leased(300);
    w.at(T0 + 6 * MINUTE);
    w.tx(|e, ctx| e.set_aside(ctx, &dep())).unwrap();
    assert_eq!(w.escrow.due(&w.ctx, 9), Ok(vec![]));
    w.at(T0 + 7 * MINUTE);
    w.deposit(bob(), 100).unwrap();
    w.at(T0 + 20 * MINUTE);
    assert_eq!(w.escrow.due(&w.ctx, 9), Ok(vec![dep()]));
}
