//! Payments and the records that they answer to. The lease of these tests costs 1 uve per second.

mod common;
use common::*;
use escrow::types::Instant;
use escrow::{Error, Outcome, PaymentState, Record, Reserved};
use proto::virtengine::escrow::v1::ResourceTotals;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// One hour of half a core, 512 MiB and 1 GiB.
fn lab_hour() -> (Reserved, ResourceTotals) {
    let reserved = Reserved { cpu_milli: 500, memory: 512 << 20, storage: 1 << 30, gpu: 0 };
    let used = ResourceTotals {
        cpu_milli_seconds: 1_800_000,
        memory_byte_seconds: 1_932_735_283_200,
        storage_byte_seconds: 3_865_470_566_400,
        gpu_seconds: 0,
    };
    (reserved, used)
}

#[test]
fn an_hour_of_all_that_is_reserved_costs_the_price_of_an_hour() {
    let (reserved, used) = lab_hour();
    assert_eq!(reserved.served_ms(&used), HOUR);
}

#[test]
fn half_the_cpu_for_an_hour_costs_half_the_price() {
    let (reserved, mut used) = lab_hour();
    used.cpu_milli_seconds /= 2;
    let served = reserved.served_ms(&used);
    assert_eq!(served, HOUR / 2);
    let params = serde_json::json!({ "min_runway": "60s" });
    let mut w = World::new(params);
    w.tx(|e, ctx| e.open(ctx, account(), &alice(), &alice(), 10_000_000)).unwrap();
    w.open_payment(1, 50).unwrap();
    w.at(T0 + HOUR);
    let outcome = w.record(1, 0, HOUR, served).unwrap();
    assert_eq!(outcome, Outcome { settled_ms: T0 + HOUR, served_ms: HOUR / 2, paid_uve: 25, duplicate: false });
    assert_eq!(w.balance(payout()), 25);
    assert_eq!(amount(&w.status().spendable), 10_000_000 - 25);
}

#[test]
fn what_is_served_is_the_least_of_what_is_reserved_and_never_overflows() {
    let (reserved, mut used) = lab_hour();
    used.storage_byte_seconds = 0;
    assert_eq!(reserved.served_ms(&used), 0);
    assert_eq!(Reserved { storage: 0, ..reserved }.served_ms(&used), HOUR);
    let most = ResourceTotals { gpu_seconds: u64::MAX, ..Default::default() };
    assert_eq!(Reserved { gpu: 1, ..Default::default() }.served_ms(&most), u64::MAX);
    assert_eq!(Reserved::default().served_ms(&most), u64::MAX);
}

#[test]
fn what_is_paid_is_the_whole_part_of_what_was_earned_however_the_hours_are_cut_into_records() {
    for seed in 0..50 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut w = World::funded(10_000_000);
        let rate = rng.gen_range(1..5000);
        w.open_payment(1, rate).unwrap();
        let (mut at, mut earned, mut paid) = (0, 0u128, 0);
        for sequence in 1..20 {
            let end = at + rng.gen_range(10 * SECOND..10 * MINUTE);
            let served = rng.gen_range(0..=end - at);
            w.at(T0 + end);
            paid += w.record(sequence, at, end, served).unwrap().paid_uve;
            earned += u128::from(rate) * u128::from(served);
            assert_eq!(u128::from(paid), earned / escrow::types::GRAINS);
            at = end;
        }
        assert_eq!(w.balance(payout()), paid);
    }
}

#[test]
fn a_payment_needs_the_runway_of_all_leases_together() {
    let mut w = World::funded(100);
    w.open_payment(1, 3600).unwrap();
    let error = w.open_payment(2, 3600).unwrap_err();
    let text = "the deployment's escrow account has 100.00uve to spend, and 120.00uve for 60000 ms at 7200uve per hour are \
                needed: deposit 20uve more";
    assert_eq!(error.to_string(), text);
    assert_eq!(w.escrow.runway_ok(&w.ctx, &dep(), 3600), Err(error));
    assert_eq!(w.escrow.runway_ok(&w.ctx, &dep(), 2400), Ok(()));
    w.deposit(bob(), 20).unwrap();
    w.open_payment(2, 3600).unwrap();
    assert_eq!(w.row().rate, 7200);
}

#[test]
fn a_payment_is_opened_once_at_a_price_in_an_open_account() {
    let mut w = World::lab();
    assert_eq!(w.open_payment(1, 5), Err(Error::AccountNotFound(account().into())));
    let mut w = World::leased(200);
    assert_eq!(w.open_payment(1, 5), Err(Error::PaymentExists(lease(1).into())));
    assert_eq!(w.open_payment(2, 0), Err(Error::PriceZero));
    assert_eq!(w.open_payment(2, u64::MAX), Err(Error::PriceTooLarge));
    w.block_at(T0 + 200 * SECOND);
    assert_eq!(w.open_payment(2, 5), Err(Error::AccountDepleted(account().into())));
    w.close().unwrap();
    assert_eq!(w.open_payment(2, 5), Err(Error::AccountClosed(account().into())));
}

#[test]
fn a_record_pays_for_what_was_served_and_gives_the_rest_of_its_period_back() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    assert_eq!((amount(&w.status().reserved), amount(&w.status().spendable)), (100, 900));
    w.events();
    let outcome = w.record(1, 0, 100 * SECOND, 30 * SECOND).unwrap();
    assert_eq!(outcome, Outcome { settled_ms: T0 + 100 * SECOND, served_ms: 30 * SECOND, paid_uve: 30, duplicate: false });
    assert_eq!((amount(&w.status().reserved), amount(&w.status().spendable)), (0, 970));
    assert_eq!(w.events(), ["UsageSettled"]);
    assert_eq!(w.balance(payout()), 30);
}

#[test]
fn more_than_the_period_is_capped_and_nothing_served_is_no_error() {
    let mut w = World::leased(1000);
    w.at(T0 + 200 * SECOND);
    assert_eq!(w.record(1, 0, 100 * SECOND, u64::MAX).unwrap().paid_uve, 100);
    let idle = w.record(2, 100 * SECOND, 200 * SECOND, 0).unwrap();
    assert_eq!((idle.paid_uve, idle.settled_ms), (0, T0 + 200 * SECOND));
}

#[test]
fn the_last_record_again_changes_nothing_and_succeeds() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    w.record(1, 0, 50 * SECOND, 50 * SECOND).unwrap();
    let before = w.ctx.writes();
    let again = w.record(1, 0, 50 * SECOND, 50 * SECOND).unwrap();
    assert_eq!(again, Outcome { settled_ms: T0 + 50 * SECOND, served_ms: 0, paid_uve: 0, duplicate: true });
    assert_eq!(w.ctx.writes(), before);
    // Even when the lease is settled.
    w.close_lease(1).unwrap();
    w.record(2, 50 * SECOND, 100 * SECOND, 1).unwrap();
    assert!(w.record(2, 50 * SECOND, 100 * SECOND, 1).unwrap().duplicate);
}

#[test]
fn other_content_under_the_last_sequence_is_refused() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    w.record(1, 0, 50 * SECOND, 50 * SECOND).unwrap();
    assert_eq!(w.record(1, 0, 50 * SECOND, 49 * SECOND), Err(Error::SequenceTaken(1)));
}

#[test]
fn an_older_sequence_is_stale_and_a_later_one_has_come_too_early() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    assert_eq!(w.record(0, 0, 50 * SECOND, 1), Err(Error::SequenceGap { got: 0, expected: 1 }));
    assert_eq!(w.record(2, 0, 50 * SECOND, 1), Err(Error::SequenceGap { got: 2, expected: 1 }));
    w.record(1, 0, 20 * SECOND, 1).unwrap();
    w.record(2, 20 * SECOND, 50 * SECOND, 1).unwrap();
    assert_eq!(w.record(1, 0, 20 * SECOND, 1), Err(Error::SequenceStale { got: 1, last: 2 }));
    assert_eq!(w.record(4, 50 * SECOND, 70 * SECOND, 1), Err(Error::SequenceGap { got: 4, expected: 3 }));
}

#[test]
fn a_record_of_an_unknown_lease_is_refused() {
    let mut w = World::funded(1000);
    assert_eq!(w.record(1, 0, 50 * SECOND, 1), Err(Error::LeaseNotFound(lease(1).into())));
    assert!(w.escrow.payments_of(&w.ctx, &lease(1)).unwrap().is_empty());
}

#[test]
fn a_record_from_before_the_lease_is_refused_with_the_leases_start() {
    let mut w = World::funded(10_000);
    w.at(T0 + HOUR);
    w.open_payment(1, 3600).unwrap();
    w.at(T0 + 2 * HOUR);
    let error = w.record(1, 0, HOUR, HOUR).unwrap_err();
    let text = "start_time: expected 2023-11-14T23:13:20Z or later, when the lease started, got 2023-11-14T22:13:20Z";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_record_that_overlaps_the_last_is_refused_with_the_expected_time() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    w.record(1, 0, 50 * SECOND, 1).unwrap();
    let error = w.record(2, 49_999, 90 * SECOND, 1).unwrap_err();
    let expected = Instant(T0 + 50 * SECOND);
    assert_eq!(error, Error::Overlap { got: Instant(T0 + 49_999), expected, why: "up to where the lease is settled" });
}

#[test]
fn a_gap_between_records_is_given_back() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    let outcome = w.record(1, 70 * SECOND, 100 * SECOND, u64::MAX).unwrap();
    assert_eq!((outcome.paid_uve, amount(&w.status().spendable)), (30, 970));
}

#[test]
fn an_end_beyond_block_time_is_clipped() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    let outcome = w.record(1, 0, HOUR, u64::MAX).unwrap();
    assert_eq!((outcome.settled_ms, outcome.paid_uve), (T0 + 100 * SECOND, 100));
}

#[test]
fn an_end_beyond_the_stop_is_clipped_and_finishes_the_payment() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    w.close_lease(1).unwrap();
    w.at(T0 + 200 * SECOND);
    let outcome = w.record(1, 0, 200 * SECOND, u64::MAX).unwrap();
    assert_eq!((outcome.settled_ms, outcome.paid_uve), (T0 + 100 * SECOND, 100));
    assert_eq!(w.meter(1).last().state(), PaymentState::Done);
    assert_eq!(w.record(2, 100 * SECOND, 200 * SECOND, 1), Err(Error::Settled(lease(1).into())));
}

#[test]
fn an_empty_period_is_refused() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    for end in [50 * SECOND, 49 * SECOND, 0] {
        let error = Error::EmptyRecord { start: Instant(T0 + 50 * SECOND), end: Instant(T0 + end) };
        assert_eq!(w.record(1, 50 * SECOND, end, 1), Err(error));
    }
}

#[test]
fn a_period_after_block_time_or_after_the_stop_is_refused() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    let late = |start, limit, why| Err(Error::StartsTooLate { got: Instant(T0 + start), limit: Instant(T0 + limit), why });
    assert_eq!(w.record(1, 100 * SECOND, 150 * SECOND, 1), late(100 * SECOND, 100 * SECOND, "block time"));
    w.close_lease(1).unwrap();
    w.at(T0 + 200 * SECOND);
    assert_eq!(w.record(1, 120 * SECOND, 150 * SECOND, 1), late(120 * SECOND, 100 * SECOND, "when the lease stopped"));
}

#[test]
fn a_short_record_is_refused_unless_it_is_the_final_one() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    assert_eq!(w.record(1, 0, 9_999, 1), Err(Error::TooShort { got: 9_999, min: 10_000 }));
    assert_eq!(w.record(1, 95 * SECOND, HOUR, 1), Err(Error::TooShort { got: 5_000, min: 10_000 }));
    w.record(1, 0, 95 * SECOND, 1).unwrap();
    w.close_lease(1).unwrap();
    assert_eq!(w.record(2, 95 * SECOND, 99 * SECOND, 1), Err(Error::TooShort { got: 4_000, min: 10_000 }));
    assert_eq!(w.record(2, 95 * SECOND, 100 * SECOND, 5 * SECOND).unwrap().paid_uve, 5);
}

#[test]
fn what_is_older_than_the_cutoff_is_not_paid() {
    let mut w = World::leased(10_000);
    w.at(T0 + 20 * MINUTE);
    let error = w.record(1, 0, 10 * MINUTE, u64::MAX).unwrap_err();
    assert_eq!(error, Error::TooOld { got: Instant(T0 + 10 * MINUTE), oldest: Instant(T0 + 10 * MINUTE) });
    let outcome = w.record(1, 0, 20 * MINUTE, u64::MAX).unwrap();
    assert_eq!((outcome.served_ms, outcome.paid_uve), (10 * MINUTE, 600));
}

#[test]
fn a_stop_releases_what_is_older_than_the_cutoff() {
    let mut w = World::leased(10_000);
    w.at(T0 + 20 * MINUTE);
    w.close_lease(1).unwrap();
    assert_eq!((amount(&w.status().reserved), amount(&w.status().spendable)), (600, 9_400));
    assert_eq!(w.meter(1).last().settled, T0 + 10 * MINUTE);
}

#[test]
fn nothing_is_reported_after_the_final_window() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    w.close_lease(1).unwrap();
    w.at(T0 + 100 * SECOND + 5 * MINUTE); // nobody has looked since
    assert_eq!(w.record(1, 0, 100 * SECOND, 1), Err(Error::Settled(lease(1).into())));
    assert_eq!(amount(&w.status().spendable), 1000);
}

#[test]
fn closing_a_lease_again_does_nothing_and_closing_an_unknown_one_is_refused() {
    let mut w = World::leased(1000);
    assert_eq!(w.close_lease(2), Err(Error::LeaseNotFound(lease(2).into())));
    w.at(T0 + MINUTE);
    w.close_lease(1).unwrap();
    let (row, meter) = (w.row(), w.meter(1));
    w.at(T0 + 2 * MINUTE);
    w.close_lease(1).unwrap();
    assert_eq!((w.row(), w.meter(1)), (row, meter));
}

#[test]
fn fractions_are_carried_from_record_to_record_and_end_with_the_payment() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    assert_eq!(w.record(1, 0, 20 * SECOND, 1_900).unwrap().paid_uve, 1);
    assert_eq!(w.record(2, 20 * SECOND, 40 * SECOND, 200).unwrap().paid_uve, 1);
    w.close_lease(1).unwrap();
    w.record(3, 40 * SECOND, 100 * SECOND, 500).unwrap();
    // 2.6 uve were earned, 0.6 of them return.
    assert_eq!((w.balance(payout()), w.row().balance), (2, uve(998)));
}

#[test]
fn huge_prices_and_deposits_do_not_overflow() {
    let mut w = World::new(serde_json::json!({ "min_runway": "0.001s", "final_usage_window": "0.1s" }));
    let all = u64::MAX - 3 * RICH;
    w.bank.genesis_credit(&mut w.ctx, &alice(), &[("uve".into(), all.into())]).unwrap();
    w.tx(|e, ctx| e.open(ctx, account(), &alice(), &alice(), all)).unwrap();
    w.open_payment(1, u64::MAX - 1).unwrap();
    assert_eq!(w.open_payment(2, 2), Err(Error::PriceTooLarge));
    w.at(T0 + 3_000_000);
    w.record(1, 0, u64::MAX, u64::MAX).unwrap();
    w.block_at(T0 + 3_600_000);
    assert_eq!(w.status().state, escrow::AccountState::Depleted as i32);
    let spent = w.row().paid;
    assert!(spent > all / 6 * 5 && spent < all);
}

#[test]
fn a_record_says_what_it_was_at_the_very_end_of_time() {
    let mut w = World::leased(1000);
    w.at(T0 + 100 * SECOND);
    let record = Record { sequence: 1, start_ms: u64::MAX - 1, end_ms: u64::MAX, served_ms: u64::MAX, hash: [0; 32] };
    let error = w.tx(|e, ctx| e.record(ctx, &lease(1), record, &payout())).unwrap_err();
    let text = "start_time: expected before 2023-11-14T22:15:00Z, block time, got 9999-12-31T23:59:59.999Z";
    assert_eq!(error.to_string(), text);
}
