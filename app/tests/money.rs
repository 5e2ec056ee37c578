//! The worked example of docs/money.md, run by the real application: each number of its table is what
//! `query escrow account` answers, and the picture is drawn from the same answers. `UPDATE_GOLDEN=1` writes both.

mod common;

use client::tx::any;
use common::*;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::DeploymentId;
use proto::virtengine::deployment::v1::{GroupSpec, MsgCloseDeployment, MsgCreateDeployment};
use proto::virtengine::escrow::v1::*;
use proto::virtengine::market::v1::{MsgCreateBid, MsgCreateLease};
use proto::virtengine::provider::v1::{Details, MsgCreateProvider};
use serde_json::json;
use std::fmt::Write;

const ALICE: usize = 0;
const BOB: usize = 1;
const PAUL: usize = 2;
/// Gets what paul earns, and nothing else.
const PAYOUT: usize = 7;
/// uve per hour.
const PRICE: u64 = 500_000;
/// Time between two looks at the account.
const STEP: u64 = 5 * MINUTE;
const FUNDS: u64 = 10_000_000_000;

/// The account as a query shows it, in uve, `at` ms after the lease was made.
struct Look {
    at: u64,
    balance: u64,
    reserved: u64,
    spendable: u64,
    paid: u64,
    state: account::State,
}

struct Story {
    c: Chain,
    /// When the lease was made, in ms.
    t0: u64,
    looks: Vec<Look>,
    /// What happened, and the place of the look after it.
    chapters: Vec<(&'static str, usize)>,
}

fn amount(coin: &Option<Coin>) -> u64 {
    coin.as_ref().map_or(0, |c| c.amount.parse().unwrap())
}

impl Story {
    fn look(&mut self) {
        let request = QueryAccountsRequest { owner: self.c.address(ALICE), dseq: 1, ..Default::default() };
        let answer: QueryAccountsResponse = self.c.query("/virtengine.escrow.v1.Query/Accounts", &request);
        let a = &answer.accounts[0];
        let (balance, reserved, spendable, paid) = (amount(&a.balance), amount(&a.reserved), amount(&a.spendable), amount(&a.paid));
        self.looks.push(Look { at: self.c.time - self.t0, balance, reserved, spendable, paid, state: a.state() });
    }

    /// Lets time pass until the next block is at `at`, looking every five minutes and at last.
    fn until(&mut self, at: u64) {
        while self.c.time + STEP < self.t0 + at {
            self.c.pass(STEP);
            self.look();
        }
        let before = self.t0 + at - SECOND;
        if self.c.time > self.t0 {
            self.c.pass(before - self.c.time);
            self.look();
        }
        self.c.next_at(self.t0 + at);
    }

    fn chapter(&mut self, at: u64, what: &'static str, who: usize, message: Option<proto::Any>) {
        self.until(at);
        match message {
            Some(message) => self.c.ok(who, message),
            None => self.c.pass(SECOND),
        }
        self.look();
        self.chapters.push((what, self.looks.len() - 1));
    }

    /// A record from `start` to `end` that shows `hundredths` of all that is reserved.
    fn record(&self, sequence: u64, start: u64, end: u64, hundredths: u64) -> Option<proto::Any> {
        let used = |reserved: u64| reserved * ((end - start) / SECOND) / 100 * hundredths;
        let resources = ResourceTotals {
            cpu_milli_seconds: used(500),
            memory_byte_seconds: used(512 << 20),
            storage_byte_seconds: used(1 << 30),
            gpu_seconds: 0,
        };
        let (start_time, end_time) = (common::at(self.t0 + start), common::at(self.t0 + end));
        let record = UsageRecord { lease_id: Some(self.c.id(ALICE, 1, PAUL)), sequence, start_time, end_time, resources: Some(resources) };
        Some(any(&MsgSubmitUsage { signer: self.c.address(PAUL), records: vec![record] }))
    }
}

/// Parameters are the defaults: an hour of runway, an hour for final records, a day of grace.
fn story() -> Story {
    let mut c = Chain::new(json!({}));
    let (alice, bob, paul) = (c.address(ALICE), c.address(BOB), c.address(PAUL));
    let details = Details {
        name: "Paul".into(),
        contact: "paul@example.com".into(),
        attributes: vec![attribute("region", "local")],
        payout: c.address(PAYOUT),
        ..Details::default()
    };
    c.ok(PAUL, any(&MsgCreateProvider { owner: paul.clone(), details: Some(details), deposit: uve(1_000_000_000) }));
    let groups = vec![GroupSpec { price: uve(PRICE), ..group() }];
    c.ok(ALICE, any(&MsgCreateDeployment { owner: alice.clone(), dseq: 0, groups, hash: vec![7; 32], deposit: uve(2_000_000) }));
    let bid_id = Some(c.id(ALICE, 1, PAUL));
    c.ok(PAUL, any(&MsgCreateBid { signer: paul, bid_id: bid_id.clone(), price: uve(PRICE), deposit: uve(500_000) }));
    let t0 = START + HOUR;
    let mut s = Story { c, t0, looks: vec![], chapters: vec![] };
    s.c.next_at(t0);
    s.chapter(0, "the lease starts", ALICE, Some(any(&MsgCreateLease { owner: alice.clone(), bid_id })));
    let full = s.record(1, 0, HOUR, 100);
    s.chapter(HOUR, "a record: all of the hour", PAUL, full);
    let half = s.record(2, HOUR, 2 * HOUR, 50);
    s.chapter(2 * HOUR, "a record: half of the hour", PAUL, half);
    s.chapter(4 * HOUR + 30 * MINUTE, "the money runs out", ALICE, None);
    let late = s.record(3, 2 * HOUR, 4 * HOUR + 30 * MINUTE, 80);
    s.chapter(5 * HOUR, "a record: 2 of the 2.5 hours", PAUL, late);
    let top_up = MsgDeposit { depositor: bob, deployment_id: Some(DeploymentId { owner: alice.clone(), dseq: 1 }), amount: uve(1_000_000) };
    s.chapter(6 * HOUR, "bob deposits 1,000,000uve", BOB, Some(any(&top_up)));
    let full = s.record(4, 6 * HOUR, 7 * HOUR, 100);
    s.chapter(7 * HOUR, "a record: all of the hour", PAUL, full);
    s.chapter(7 * HOUR + 20 * MINUTE, "alice closes the deployment", ALICE, Some(any(&MsgCloseDeployment { owner: alice, dseq: 1 })));
    let last = s.record(5, 7 * HOUR, 7 * HOUR + 20 * MINUTE, 100);
    s.chapter(7 * HOUR + 40 * MINUTE, "the final record: 20 minutes", PAUL, last);
    s.until(8 * HOUR + 10 * MINUTE);
    s
}

fn clock(ms: u64) -> String {
    format!("{}:{:02}", ms / HOUR, ms % HOUR / MINUTE)
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

fn table(s: &Story) -> String {
    let mut text = String::from("| time | what | balance | reserved | spendable | paid | state |\n|--:|---|--:|--:|--:|--:|---|\n");
    for (what, look) in &s.chapters {
        let l = &s.looks[*look];
        let [balance, reserved, spendable, paid] = [l.balance, l.reserved, l.spendable, l.paid].map(thousands);
        writeln!(text, "| {} | {what} | {balance} | {reserved} | {spendable} | {paid} | {} |", clock(l.at), l.state.as_str_name()).unwrap();
    }
    text
}

/// The account over time. Between two looks the lines are straight, which is how reserving goes.
fn picture(s: &Story) -> String {
    const W: u64 = 860;
    const TOP: u64 = 70;
    const H: u64 = 300;
    const LEFT: u64 = 60;
    const SPAN: u64 = 8 * HOUR + 15 * MINUTE;
    const MOST: u64 = 2_500_000;
    let x = |ms: u64| LEFT as f64 + (W - LEFT - 20) as f64 * ms as f64 / SPAN as f64;
    let y = |uve: u64| (TOP + H) as f64 - H as f64 * uve as f64 / MOST as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {W} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>One escrow account over time</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        TOP + H + 50
    );
    for uve in (0..=MOST).step_by(500_000) {
        let (y, ve) = (y(uve).round(), uve as f64 / 1e6);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {y}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{ve} VE</text>",
            W - 20,
            LEFT - 6,
            y + 4.0
        )
        .unwrap();
    }
    for hour in 0..=8 {
        let x = x(hour * HOUR).round();
        writeln!(svg, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{hour}:00</text>", TOP + H + 18).unwrap();
    }
    for (n, (_, look)) in s.chapters.iter().enumerate() {
        let x = x(s.looks[*look].at).round();
        writeln!(
            svg,
            "<path d=\"M{x} {TOP}V{}\" stroke=\"#999\" stroke-dasharray=\"3\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            TOP + H,
            TOP - 6,
            n + 1
        )
        .unwrap();
    }
    type Line = (&'static str, &'static str, fn(&Look) -> u64);
    let lines: [Line; 4] = [
        ("balance", "black", |l| l.balance),
        ("reserved", "#d55e00", |l| l.reserved),
        ("spendable", "#0072b2", |l| l.spendable),
        ("paid in all", "#009e73", |l| l.paid),
    ];
    for (n, (name, colour, value)) in lines.iter().enumerate() {
        let points: Vec<_> = s.looks.iter().map(|l| format!("{:.1},{:.1}", x(l.at), y(value(l)))).collect();
        writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join(" ")).unwrap();
        let x = LEFT + 150 * n as u64;
        writeln!(svg, "<path d=\"M{x} 24h24\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"28\">{name}</text>", x + 30)
            .unwrap();
    }
    writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\">hours since the lease was made; the numbers above are the lines of the table</text>\n</svg>",
        TOP + H + 40
    )
    .unwrap();
    svg
}

#[test]
fn the_worked_example_is_what_the_chain_does() {
    let s = story();
    let last = s.looks.last().unwrap();
    // The bill by hand: five records, each ⌊price × served⌋ with the fraction carried within a payment.
    let bill = 500_000 + 250_000 + 1_000_000 + 500_000 + 166_666;
    assert_eq!((last.paid, last.balance, last.state), (bill, 0, account::State::Closed));
    assert_eq!(s.c.balance(PAYOUT), FUNDS + bill);
    // Less fees, 1000uve a transaction: bob made one and alice three.
    assert_eq!(s.c.balance(BOB), FUNDS - 1_000_000 - 1000 + 583_333);
    assert_eq!(s.c.balance(ALICE), FUNDS - 2_000_000 - 3000 + 1);

    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/");
    let (page, plot) = (format!("{docs}money.md"), format!("{docs}money.svg"));
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<!-- the run -->\n").expect("the mark before the table");
    let (_, after) = rest.split_once("<!-- end of the run -->").expect("the mark after the table");
    let new = format!("{before}<!-- the run -->\n{}<!-- end of the run -->{after}", table(&s));
    let svg = picture(&s);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&page, &new).unwrap();
        std::fs::write(&plot, &svg).unwrap();
        return;
    }
    assert_eq!(text, new, "UPDATE_GOLDEN=1 accepts a change that is meant");
    assert_eq!(std::fs::read_to_string(&plot).unwrap(), svg, "UPDATE_GOLDEN=1 accepts a change that is meant");
}
