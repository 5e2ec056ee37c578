//! Deposits, refunds and whose money it is.

mod common;
use common::*;
use escrow::{AccountId, AccountState, Error};

#[test]
fn opening_an_account_moves_the_deposit_and_says_so() {
    let mut w = World::funded(500);
    assert_eq!((w.spent(alice()), w.held_by_escrow()), (500, 500));
    assert_eq!(w.deposits(), [(alice(), uve(500))]);
    assert_eq!(w.row().state, AccountState::Open);
    assert_eq!(w.events(), ["AccountOpened"]);
}

#[test]
fn an_account_is_opened_once_and_with_money() {
    let mut w = World::funded(500);
    let again = w.tx(|e, ctx| e.open(ctx, account(), &alice(), &alice(), 5));
    assert_eq!(again, Err(Error::AccountExists(account().into())));
    let nothing = w.tx(|e, ctx| e.open(ctx, AccountId::Provider(provider()), &provider(), &provider(), 0));
    assert_eq!(nothing, Err(Error::AmountTooSmall { got: 0, min: 1 }));
}

#[test]
fn a_depositor_without_the_money_is_refused() {
    let mut w = World::funded(500);
    let error = w.deposit(payout(), 20).unwrap_err();
    assert_eq!(error.to_string(), "spendable balance 0uve is smaller than 20uve: insufficient funds");
    let broke = w.tx(|e, ctx| e.open(ctx, AccountId::Bid(lease(1)), &payout(), &payout(), 20)).unwrap_err();
    assert_eq!(kernel::Error::from(broke).code, 5);
}

#[test]
fn a_top_up_below_the_minimum_is_refused() {
    let mut w = World::funded(500);
    assert_eq!(w.deposit(bob(), 9), Err(Error::AmountTooSmall { got: 9, min: 10 }));
    assert_eq!(w.deposit(bob(), 10), Ok(()));
}

#[test]
fn a_top_up_of_an_unknown_or_a_closed_account_is_refused() {
    let mut w = World::lab();
    assert_eq!(w.deposit(bob(), 10), Err(Error::AccountNotFound(account().into())));
    let mut w = World::funded(500);
    w.close().unwrap();
    assert_eq!(w.deposit(bob(), 10), Err(Error::AccountClosed(account().into())));
}

#[test]
fn no_account_takes_more_than_a_u64_of_uve() {
    let mut w = World::funded(500);
    assert_eq!(w.deposit(alice(), u64::MAX), Err(Error::AmountTooLarge { had: 500 }));
}

#[test]
fn depositors_are_few_and_the_owner_is_always_welcome() {
    let mut w = World::lab(); // three places
    w.tx(|e, ctx| e.open(ctx, account(), &alice(), &bob(), 100)).unwrap();
    w.deposit(carol(), 100).unwrap();
    assert_eq!(w.deposit(person(4), 100), Err(Error::TooManyDepositors(2)));
    w.deposit(bob(), 50).unwrap();
    w.deposit(alice(), 100).unwrap();
    w.deposit(alice(), 1).ok();
    assert_eq!(w.deposits(), [(bob(), uve(100)), (carol(), uve(100)), (bob(), uve(50)), (alice(), uve(100))]);
}

/// The example of the specification's model.
#[test]
fn a_further_deposit_is_spent_after_those_that_came_before_it() {
    let mut w = World::leased(500);
    w.deposit(bob(), 500).unwrap();
    w.deposit(alice(), 500).unwrap();
    w.at(T0 + 600 * SECOND);
    w.record(1, 0, 600 * SECOND, 600 * SECOND).unwrap();
    assert_eq!(w.deposits(), [(bob(), uve(400)), (alice(), uve(500))]);
}

#[test]
fn a_depositor_has_four_places_and_more_joins_the_newest_of_them() {
    let mut w = World::funded(500);
    for _ in 0..6 {
        w.deposit(bob(), 10).unwrap();
        w.deposit(carol(), 10).unwrap();
    }
    let (bobs, carols) = ((bob(), uve(10)), (carol(), uve(10)));
    let newest = [(bob(), uve(30)), (carol(), uve(30))];
    assert_eq!(w.deposits(), [&[(alice(), uve(500))][..], &[bobs, carols].repeat(3), &newest].concat());
}

#[test]
fn the_oldest_deposit_is_spent_first_and_a_spent_depositor_leaves_the_list() {
    let mut w = World::leased(100);
    for who in [bob(), carol()] {
        w.deposit(who, 100).unwrap();
    }
    assert_eq!(w.deposit(person(4), 100), Err(Error::TooManyDepositors(2)));
    w.at(T0 + 130 * SECOND);
    w.record(1, 0, 130 * SECOND, 130 * SECOND).unwrap();
    assert_eq!(w.deposits(), [(bob(), uve(70)), (carol(), uve(100))]);
    w.at(T0 + 201 * SECOND);
    w.record(2, 130 * SECOND, 201 * SECOND, 201 * SECOND).unwrap();
    assert_eq!(w.deposits(), [(carol(), uve(99))]);
    w.deposit(person(4), 100).unwrap();
    assert_eq!(w.balance(payout()), 201);
}

#[test]
fn a_bids_deposit_returns_in_full_and_leaves_nothing_behind() {
    let mut w = World::lab();
    let id = AccountId::Bid(lease(1));
    w.tx(|e, ctx| e.open(ctx, id, &provider(), &provider(), 5_000_000)).unwrap();
    assert_eq!(w.spent(provider()), 5_000_000);
    w.tx(|e, ctx| e.close(ctx, id)).unwrap();
    assert_eq!((w.spent(provider()), w.held_by_escrow()), (0, 0));
    assert_eq!(w.events(), ["AccountOpened", "AccountClosed", "Refunded"]);
    assert_eq!(w.escrow.account(&w.ctx, &id), Ok(None));
    assert_eq!(w.tx(|e, ctx| e.close(ctx, id)), Err(Error::AccountNotFound(id.into())));
}

#[test]
fn a_providers_deposit_returns_in_full() {
    let mut w = World::lab();
    let id = AccountId::Provider(provider());
    w.tx(|e, ctx| e.open(ctx, id, &provider(), &provider(), 1000)).unwrap();
    w.at(T0 + HOUR);
    w.tx(|e, ctx| e.close(ctx, id)).unwrap();
    assert_eq!((w.spent(provider()), w.held_by_escrow()), (0, 0));
}

#[test]
fn a_forfeited_deposit_goes_to_the_tenant() {
    let mut w = World::lab();
    let id = AccountId::Bid(lease(1));
    w.tx(|e, ctx| e.open(ctx, id, &provider(), &provider(), 700)).unwrap();
    w.tx(|e, ctx| e.forfeit(ctx, &lease(1), &alice())).unwrap();
    assert_eq!((w.balance(alice()), w.spent(provider()), w.held_by_escrow()), (RICH + 700, 700, 0));
    assert_eq!(w.events(), ["AccountOpened", "DepositForfeited"]);
    assert_eq!(w.tx(|e, ctx| e.forfeit(ctx, &lease(1), &alice())), Err(Error::AccountNotFound(id.into())));
}

#[test]
fn closing_returns_what_is_free_at_once_and_the_rest_with_the_final_record() {
    let mut w = World::leased(200);
    w.deposit(bob(), 200).unwrap();
    w.at(T0 + 250 * SECOND);
    w.events();
    w.close().unwrap();
    // 250 uve are reserved: bob's, which came later, are the free ones, but for 50.
    assert_eq!((w.spent(alice()), w.spent(bob()), w.held_by_escrow()), (200, 50, 250));
    assert_eq!(w.events(), ["PaymentStopped", "AccountClosed", "Refunded"]);
    w.at(T0 + 300 * SECOND);
    let outcome = w.record(1, 0, 250 * SECOND, 100 * SECOND).unwrap();
    assert_eq!((outcome.paid_uve, outcome.settled_ms), (100, T0 + 250 * SECOND));
    assert_eq!((w.spent(alice()), w.spent(bob()), w.held_by_escrow()), (100, 0, 0));
    assert_eq!(w.events(), ["UsageSettled", "PaymentDone", "Refunded", "Refunded"]);
}

#[test]
fn closing_returns_the_rest_when_the_final_window_has_passed() {
    let mut w = World::leased(200);
    w.at(T0 + 100 * SECOND);
    w.close().unwrap();
    assert_eq!(w.spent(alice()), 100);
    w.block_at(T0 + 100 * SECOND + 5 * MINUTE - 1);
    assert_eq!(w.spent(alice()), 100);
    w.block_at(T0 + 100 * SECOND + 5 * MINUTE);
    assert_eq!((w.spent(alice()), w.held_by_escrow()), (0, 0));
}

#[test]
fn the_last_fractions_are_the_owners() {
    let mut w = World::leased(100);
    w.deposit(bob(), 100).unwrap();
    w.at(T0 + 150 * SECOND);
    // 99.5 uve of 150: the provider gets 99, bob's 100 are all there, alice's last half comes with the provider's.
    w.record(1, 0, 150 * SECOND, 99_500).unwrap();
    w.close().unwrap();
    assert_eq!((w.spent(alice()), w.spent(bob()), w.balance(payout())), (99, 0, 99));
    assert_eq!(w.held_by_escrow(), 0);
}

#[test]
fn a_closed_account_is_not_closed_again() {
    let mut w = World::funded(100);
    w.close().unwrap();
    assert_eq!(w.close(), Err(Error::AccountClosed(account().into())));
    assert_eq!(w.spent(alice()), 0);
}

#[test]
fn an_account_is_removed_only_when_nothing_is_owed() {
    let mut w = World::leased(200);
    let refused = Err(Error::AccountUnsettled(account().into()));
    assert_eq!(w.tx(|e, ctx| e.remove(ctx, &dep())), refused);
    w.at(T0 + MINUTE);
    w.close().unwrap();
    assert_eq!(w.tx(|e, ctx| e.remove(ctx, &dep())), refused);
    assert_eq!(w.tx(|e, ctx| e.remove_lease(ctx, &lease(1))), Err(Error::Unsettled(lease(1).into())));
    assert_eq!(w.escrow.has_unsettled(&w.ctx, &lease(1)), Ok(true));
    w.block_at(T0 + HOUR);
    assert_eq!(w.escrow.has_unsettled(&w.ctx, &lease(1)), Ok(false));
    assert_eq!(w.escrow.is_settled(&w.ctx, &dep()), Ok(true));
    w.tx(|e, ctx| e.remove(ctx, &dep())).unwrap();
    assert_eq!(w.escrow.account(&w.ctx, &account()), Ok(None));
    assert_eq!(w.escrow.meter(&w.ctx, &lease(1)), Ok(None));
    assert_eq!(w.tx(|e, ctx| e.remove(ctx, &dep())), Ok(()));
}

#[test]
fn a_settled_lease_is_removed_on_its_own() {
    let mut w = World::leased(200);
    w.close_lease(1).unwrap(); // at once: nothing to report
    w.tx(|e, ctx| e.remove_lease(ctx, &lease(1))).unwrap();
    assert_eq!(w.tx(|e, ctx| e.remove_lease(ctx, &lease(1))), Err(Error::LeaseNotFound(lease(1).into())));
    assert_eq!(w.row().state, AccountState::Open);
}

#[test]
fn spare_money_is_what_exceeds_the_runway_and_returns_to_those_who_paid_it() {
    let mut w = World::leased(200);
    w.deposit(bob(), 100).unwrap();
    w.at(T0 + 100 * SECOND);
    w.events();
    // 100 of 300 are reserved, 60 are runway, 140 are spare: bob's 100 and 40 of alice's.
    assert_eq!(w.tx(|e, ctx| e.withdraw_spare(ctx, &dep())), Ok(140));
    assert_eq!((w.spent(alice()), w.spent(bob())), (160, 0));
    assert_eq!(w.events(), ["SpareWithdrawn", "SpareWithdrawn"]);
    let again = w.tx(|e, ctx| e.withdraw_spare(ctx, &dep()));
    assert_eq!(again, Err(Error::NothingToSpare(uve(60))));
    assert_eq!(w.row().due(), Some(T0 + 160 * SECOND));
}

#[test]
fn an_account_without_leases_may_be_emptied() {
    let mut w = World::funded(200);
    assert_eq!(w.tx(|e, ctx| e.withdraw_spare(ctx, &dep())), Ok(200));
    assert_eq!((w.spent(alice()), w.row().state), (0, AccountState::Open));
}

#[test]
fn nothing_is_spare_in_a_depleted_or_a_closed_account() {
    let mut w = World::leased(200);
    w.block_at(T0 + 201 * SECOND);
    assert_eq!(w.tx(|e, ctx| e.withdraw_spare(ctx, &dep())), Err(Error::AccountDepleted(account().into())));
    w.close().unwrap();
    assert_eq!(w.tx(|e, ctx| e.withdraw_spare(ctx, &dep())), Err(Error::AccountClosed(account().into())));
}
