//! Accounts, meters, payments and parameters: rows with their pure rules. `TryFrom` of the proto is the only door in.

use kernel::{Address, BidId, Bytes, DENOM, DeploymentId, Key, Value};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::escrow::v1 as wire;
use proto::{Duration, Timestamp};
use std::fmt;

/// Grains per uve: milliseconds per hour, so that uve per hour × milliseconds is grains.
pub const GRAINS: u128 = 3_600_000;

/// Block times are below this (about the year 10,889; CometBFT's end with the year 9999).
///
/// Nothing here overflows: all money that an account was ever given is below 2^64 uve ([`Account::deposited`]), so a
/// balance is below 2^64 · 3.6e6 < 2^86 grains, and F is never more than the balance. The rates of an account add up to
/// less than 2^64 (`open_payment`), times and spans are below 2^48, so R · t, S and every price of a span are below
/// 2^112 grains. The largest sum, balance + S, is below 2^113. Each uve amount fits u64.
pub const MAX_TIME: u64 = 1 << 48;

/// No window, grace or cutoff is longer: 34 years in milliseconds.
const MAX_SPAN: u64 = 1 << 40;
/// Places that one depositor may have in the list of an account's deposits.
pub const MAX_PLACES: usize = 4;

/// Whose money an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountId {
    Deployment(DeploymentId),
    Bid(BidId),
    Provider(Address),
}

impl Key for AccountId {
    fn put(&self, out: &mut Bytes) {
        match self {
            AccountId::Deployment(id) => (1u8, *id).put(out),
            AccountId::Bid(id) => (2u8, *id).put(out),
            AccountId::Provider(id) => (3u8, *id).put(out),
        }
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(b)? {
            1 => AccountId::Deployment(DeploymentId::take(b)?),
            2 => AccountId::Bid(BidId::take(b)?),
            3 => AccountId::Provider(Address::take(b)?),
            _ => return None,
        })
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountId::Deployment(id) => write!(f, "deployment {id}"),
            AccountId::Bid(id) => write!(f, "bid {id}"),
            AccountId::Provider(id) => write!(f, "provider {id}"),
        }
    }
}

impl From<AccountId> for wire::AccountId {
    fn from(id: AccountId) -> Self {
        use wire::AccountKind as Kind;
        let (kind, mut out) = match id {
            AccountId::Deployment(id) => {
                (Kind::Deployment, wire::AccountId { owner: id.owner.to_string(), dseq: id.dseq, ..Default::default() })
            }
            AccountId::Bid(id) => {
                let group = id.order.group;
                let out = wire::AccountId {
                    owner: id.owner().to_string(),
                    dseq: group.deployment.dseq,
                    gseq: group.gseq,
                    oseq: id.order.oseq,
                    provider: id.provider.to_string(),
                    ..Default::default()
                };
                (Kind::Bid, out)
            }
            AccountId::Provider(id) => (Kind::Provider, wire::AccountId { owner: id.to_string(), ..Default::default() }),
        };
        out.kind = kind.into();
        out
    }
}

impl TryFrom<&wire::AccountId> for AccountId {
    type Error = String;
    fn try_from(id: &wire::AccountId) -> Result<Self, String> {
        use proto::virtengine::base::v1 as base;
        use wire::AccountKind as Kind;
        match id.kind() {
            Kind::Deployment => {
                let id = base::DeploymentId { owner: id.owner.clone(), dseq: id.dseq };
                Ok(AccountId::Deployment((&id).try_into()?))
            }
            Kind::Bid => {
                let wire::AccountId { owner, dseq, gseq, oseq, provider, .. } = id.clone();
                Ok(AccountId::Bid((&base::BidId { owner, dseq, gseq, oseq, provider }).try_into()?))
            }
            Kind::Provider => Ok(AccountId::Provider(address("owner", &id.owner)?)),
            Kind::None => Err("kind: expected deployment, bid or provider".into()),
        }
    }
}

pub use wire::account::State as AccountState;
pub use wire::meter::State as MeterState;
pub use wire::payment::State as PaymentState;

/// What one depositor still has in an account, in grains; never 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    pub depositor: Address,
    pub grains: u128,
}

/// The money behind a deployment, a bid or a provider. R, S and F of the design are `rate`, `settled` and `frozen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Gets the last fractions.
    pub owner: Address,
    pub state: AccountState,
    /// One place per depositor; the first is spent first.
    pub deposits: Vec<Deposit>,
    /// Grains: Σ deposits, and the fractions that finished payments returned, which are spent last.
    pub balance: u128,
    /// R, uve per hour.
    pub rate: u64,
    /// S, grains.
    pub settled: u128,
    /// F, grains.
    pub frozen: u128,
    /// Σ rate of suspended leases, uve per hour.
    pub suspended_rate: u64,
    /// Milliseconds; 0 unless depleted, as is `grace_ends`.
    pub depleted_at: u64,
    pub grace_ends: u64,
    pub closed_at: Option<u64>,
    /// Ever paid in, paid to providers and given back, in uve.
    pub deposited: u64,
    pub paid: u64,
    pub refunded: u64,
    /// Milliseconds: when time alone changes the account next; 0 if never.
    pub next_at: u64,
    /// Off the due queue, because handling it failed.
    pub stuck: bool,
}

impl Account {
    pub fn new(owner: Address) -> Self {
        Account {
            owner,
            state: AccountState::Open,
            deposits: Vec::new(),
            balance: 0,
            rate: 0,
            settled: 0,
            frozen: 0,
            suspended_rate: 0,
            depleted_at: 0,
            grace_ends: 0,
            closed_at: None,
            deposited: 0,
            paid: 0,
            refunded: 0,
            next_at: 0,
            stuck: false,
        }
    }

    /// The last millisecond that is paid for, if anything runs; far beyond [`MAX_TIME`] it says u64::MAX.
    pub fn due(&self) -> Option<u64> {
        let free = (self.balance + self.settled).saturating_sub(self.frozen);
        let due = free.checked_div(self.rate.into())?;
        Some(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// Grains that running payments have reserved and not settled at `now`.
    pub fn held(&self, now: u64) -> u128 {
        let until = self.due().map_or(now, |due| due.min(now));
        grains(self.rate, until).saturating_sub(self.settled)
    }

    /// Grains that nobody has a claim on at `now`.
    pub fn spendable(&self, now: u64) -> u128 {
        self.balance.saturating_sub(self.held(now) + self.frozen)
    }

    /// None if an amount is beyond what [`MAX_TIME`] promises, which only a genesis document can bring about.
    fn bounded(&self) -> Option<()> {
        let held = self.deposits.iter().try_fold(0u128, |sum, d| sum.checked_add(d.grains))?;
        let fits = held <= self.balance
            && self.balance <= u128::from(self.deposited) * GRAINS
            && self.frozen <= self.balance
            && self.settled <= grains(self.rate, MAX_TIME)
            && self.rate.checked_add(self.suspended_rate).is_some();
        fits.then_some(())
    }

    /// The account's place in the due queue.
    pub(crate) fn queued(&self) -> Option<u64> {
        (self.next_at != 0 && !self.stuck).then_some(self.next_at)
    }

    /// What is due next; `window` is the first end of a final window.
    pub(crate) fn next(&self, window: Option<u64>) -> u64 {
        let grace = (self.state == AccountState::Depleted).then_some(self.grace_ends);
        [self.due(), grace, window].into_iter().flatten().min().unwrap_or(0)
    }
}

/// The price of a span, in grains.
pub(crate) fn grains(rate: u64, ms: u64) -> u128 {
    u128::from(rate) * u128::from(ms)
}

/// Whole uve, rounded down.
pub(crate) fn whole_uve(grains: u128) -> u64 {
    u64::try_from(grains / GRAINS).unwrap_or(u64::MAX)
}

/// Grains as uve with two decimals, for people.
pub(crate) fn shown_uve(grains: u128) -> String {
    format!("{}.{:02}uve", grains / GRAINS, grains % GRAINS * 100 / GRAINS)
}

/// One uninterrupted run of one lease. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// From 1 per lease.
    pub number: u64,
    pub opened: u64,
    /// Up to here it is paid or given back.
    pub settled: u64,
    pub stop: Option<u64>,
    /// 0 while it runs.
    pub window_ends: u64,
    /// Earned and not yet a whole uve, in grains.
    pub remainder: u64,
    /// uve.
    pub paid: u64,
}

impl Payment {
    pub fn open(number: u64, now: u64) -> Self {
        Payment { number, opened: now, settled: now, stop: None, window_ends: 0, remainder: 0, paid: 0 }
    }

    pub fn state(&self) -> PaymentState {
        match self.stop {
            None => PaymentState::Running,
            Some(stop) if stop > self.settled => PaymentState::Stopped,
            Some(_) => PaymentState::Done,
        }
    }

    pub fn is_done(&self) -> bool {
        self.state() == PaymentState::Done
    }

    /// Grains that a stopped payment at this rate keeps for what may still be reported.
    pub fn frozen(&self, rate: u64) -> u128 {
        self.stop.map_or(0, |stop| grains(rate, stop.saturating_sub(self.settled)))
    }
}

/// What one lease reported and was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    pub state: MeterState,
    /// uve per hour.
    pub rate: u64,
    pub last_sequence: u64,
    pub last_hash: Option<[u8; 32]>,
    /// uve, of all payments.
    pub paid: u64,
    /// Never empty. All but the last are stopped and not done.
    pub payments: Vec<Payment>,
}

impl Meter {
    pub fn last(&self) -> &Payment {
        self.payments.last().expect("a meter starts with a payment and keeps its last")
    }

    /// Where the next record starts.
    pub fn expected(&self) -> u64 {
        self.payments.iter().find(|p| !p.is_done()).unwrap_or(self.last()).settled
    }

    pub fn is_settled(&self) -> bool {
        self.state == MeterState::Closed && self.last().is_done() && self.payments.len() == 1
    }

    /// When the first final window of the lease ends.
    pub(crate) fn window(&self) -> Option<u64> {
        self.payments.iter().filter(|p| p.state() == PaymentState::Stopped).map(|p| p.window_ends).min()
    }

    /// Drops what can no longer report, except the last.
    pub(crate) fn prune(&mut self) {
        let last = self.last().number;
        self.payments.retain(|p| p.number == last || !p.is_done());
    }
}

/// What a usage record claims, as market read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub sequence: u64,
    /// The period is after `start_ms`, up to and including `end_ms`.
    pub start_ms: u64,
    pub end_ms: u64,
    /// From [`Reserved::served_ms`].
    pub served_ms: u64,
    /// SHA-256 of the record's encoding: tells a retry from other content.
    pub hash: [u8; 32],
}

/// What a record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Where the next record starts.
    pub settled_ms: u64,
    /// What was counted and earned; 0 for a duplicate.
    pub served_ms: u64,
    /// Paid out now; fractions are carried.
    pub paid_uve: u64,
    /// The record was there already and nothing changed.
    pub duplicate: bool,
}

/// What a lease reserves in all: Σ of each resource × count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Thousandths of a core.
    pub cpu_milli: u128,
    /// Bytes.
    pub memory: u128,
    /// Bytes.
    pub storage: u128,
    pub gpu: u128,
}

impl Reserved {
    /// The least over the reserved resources of ⌊used · 1000 / reserved⌋ ms: the price buys all of them together.
    pub fn served_ms(&self, used: &wire::ResourceTotals) -> u64 {
        [
            (used.cpu_milli_seconds, self.cpu_milli),
            (used.memory_byte_seconds, self.memory),
            (used.storage_byte_seconds, self.storage),
            (used.gpu_seconds, self.gpu),
        ]
        .into_iter()
        .filter_map(|(used, reserved)| (u128::from(used) * 1000).checked_div(reserved))
        .min()
        .map_or(u64::MAX, |ms| u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

/// What a touch changed. Only [`Happened::GraceOver`] asks something of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Running leases are suspended since `at` ms, when the money ran out.
    Depleted { at: u64 },
    /// Suspended leases run again, from now.
    Resumed,
    /// These leases have no payment any more: close them with `insufficient_funds` and pause their groups.
    GraceOver { leases: Vec<BidId> },
}

/// How a deployment's account stands, for queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Funds {
    /// Not depleted, or not there.
    Enough,
    Depleted,
    /// The grace period is over, which no block has acted on yet: these leases have ended.
    Ended(Vec<BidId>),
}

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// uve.
    pub min_topup: u64,
    pub min_runway: u64,
    pub depletion_grace: u64,
    pub usage_cutoff: u64,
    pub final_usage_window: u64,
    pub min_usage_interval: u64,
    pub max_depositors: u32,
}

impl Default for Params {
    fn default() -> Self {
        const HOUR: u64 = 3_600_000;
        Params {
            min_topup: 100_000,
            min_runway: HOUR,
            depletion_grace: 24 * HOUR,
            usage_cutoff: 24 * HOUR,
            final_usage_window: HOUR,
            min_usage_interval: 30_000,
            max_depositors: 16,
        }
    }
}

impl TryFrom<&wire::Params> for Params {
    type Error = String;
    /// What is not set gets its default.
    fn try_from(p: &wire::Params) -> Result<Self, String> {
        let or = Params::default();
        let span = |name: &str, d: &Option<Duration>, or| d.as_ref().map_or(Ok(or), |d| span(name, d));
        let params = Params {
            min_topup: p.min_topup.as_ref().map_or(Ok(or.min_topup), |c| uve("min_topup", c))?,
            min_runway: span("min_runway", &p.min_runway, or.min_runway)?,
            depletion_grace: span("depletion_grace", &p.depletion_grace, or.depletion_grace)?,
            usage_cutoff: span("usage_cutoff", &p.usage_cutoff, or.usage_cutoff)?,
            final_usage_window: span("final_usage_window", &p.final_usage_window, or.final_usage_window)?,
            min_usage_interval: span("min_usage_interval", &p.min_usage_interval, or.min_usage_interval)?,
            max_depositors: if p.max_depositors == 0 { or.max_depositors } else { p.max_depositors },
        };
        if params.min_topup == 0 {
            return Err("min_topup: expected at least 1uve".into());
        }
        if !(2..=100).contains(&params.max_depositors) {
            return Err(format!("max_depositors: expected 2 to 100, got {}", params.max_depositors));
        }
        if params.usage_cutoff < params.min_usage_interval {
            return Err("usage_cutoff: expected at least min_usage_interval, or no record could count".into());
        }
        // A lease has at most one payment per min_runway, so this bounds how many of them may still report.
        if params.final_usage_window / 100 > params.min_runway {
            return Err("final_usage_window: expected at most 100 × min_runway".into());
        }
        Ok(params)
    }
}

impl From<&Params> for wire::Params {
    fn from(p: &Params) -> Self {
        wire::Params {
            min_topup: Some(coin(p.min_topup)),
            min_runway: Some(duration(p.min_runway)),
            depletion_grace: Some(duration(p.depletion_grace)),
            usage_cutoff: Some(duration(p.usage_cutoff)),
            final_usage_window: Some(duration(p.final_usage_window)),
            min_usage_interval: Some(duration(p.min_usage_interval)),
            max_depositors: p.max_depositors,
        }
    }
}

// --- rows; what their keys say, the id, is left out and stands only in genesis documents

impl From<&Account> for wire::Account {
    fn from(a: &Account) -> Self {
        let deposit = |d: &Deposit| wire::Deposit { depositor: d.depositor.to_string(), grains: d.grains.to_string() };
        wire::Account {
            id: None,
            owner: a.owner.to_string(),
            state: a.state.into(),
            deposits: a.deposits.iter().map(deposit).collect(),
            balance: a.balance.to_string(),
            rate: a.rate.to_string(),
            settled: a.settled.to_string(),
            frozen: a.frozen.to_string(),
            depleted_at: a.depleted_at,
            closed_at: a.closed_at.map(timestamp),
            deposited: a.deposited.to_string(),
            paid: a.paid.to_string(),
            refunded: a.refunded.to_string(),
            suspended_rate: a.suspended_rate.to_string(),
            grace_ends: a.grace_ends,
            next_at: a.next_at,
            stuck: a.stuck,
        }
    }
}

impl TryFrom<&wire::Account> for Account {
    type Error = String;
    fn try_from(a: &wire::Account) -> Result<Self, String> {
        let deposit = |d: &wire::Deposit| {
            let depositor = address("depositor", &d.depositor)?;
            Ok::<_, String>(Deposit { depositor, grains: digits("grains", &d.grains)? })
        };
        if a.state() == AccountState::Unspecified {
            return Err("state: expected open, depleted or closed".into());
        }
        let account = Account {
            owner: address("owner", &a.owner)?,
            state: a.state(),
            deposits: a.deposits.iter().map(deposit).collect::<Result<_, _>>()?,
            balance: digits("balance", &a.balance)?,
            rate: digits("rate", &a.rate)?,
            settled: digits("settled", &a.settled)?,
            frozen: digits("frozen", &a.frozen)?,
            suspended_rate: digits("suspended_rate", &a.suspended_rate)?,
            depleted_at: a.depleted_at,
            grace_ends: a.grace_ends,
            closed_at: a.closed_at.as_ref().map(|t| millis("closed_at", t)).transpose()?,
            deposited: digits("deposited", &a.deposited)?,
            paid: digits("paid", &a.paid)?,
            refunded: digits("refunded", &a.refunded)?,
            next_at: a.next_at,
            stuck: a.stuck,
        };
        account.bounded().ok_or("amounts: expected deposits ≤ balance ≤ deposited, frozen ≤ balance, settled ≤ rate × now")?;
        Ok(account)
    }
}

impl From<&Meter> for wire::Meter {
    fn from(m: &Meter) -> Self {
        let payment = |p: &Payment| wire::Payment {
            number: p.number,
            opened: p.opened,
            settled: p.settled,
            stop: p.stop.unwrap_or(0),
            window_ends: p.window_ends,
            remainder: p.remainder.to_string(),
            paid: p.paid.to_string(),
        };
        wire::Meter {
            lease_id: None,
            state: m.state.into(),
            rate: m.rate,
            last_sequence: m.last_sequence,
            last_hash: m.last_hash.map_or(Vec::new(), |h| h.to_vec()),
            paid: m.paid.to_string(),
            payments: m.payments.iter().map(payment).collect(),
        }
    }
}

impl TryFrom<&wire::Meter> for Meter {
    type Error = String;
    fn try_from(m: &wire::Meter) -> Result<Self, String> {
        let payment = |p: &wire::Payment| {
            if p.opened > p.settled || p.settled.max(p.stop) >= MAX_TIME || (p.stop != 0 && p.settled > p.stop) {
                return Err(format!("payment {}: expected opened ≤ settled ≤ stop", p.number));
            }
            Ok(Payment {
                number: p.number,
                opened: p.opened,
                settled: p.settled,
                stop: (p.stop != 0).then_some(p.stop),
                window_ends: p.window_ends,
                remainder: digits("remainder", &p.remainder)?,
                paid: digits("paid", &p.paid)?,
            })
        };
        if m.state() == MeterState::Unspecified {
            return Err("state: expected running, suspended or closed".into());
        }
        if m.payments.is_empty() {
            return Err("payments: expected at least one".into());
        }
        if m.rate == 0 {
            return Err("rate: expected at least 1uve per hour".into());
        }
        // Counters that a chain could never reach would overflow.
        if m.payments.iter().map(|p| p.number).chain([m.last_sequence]).any(|n| n >= MAX_TIME) {
            return Err(format!("last_sequence, number: expected less than {MAX_TIME}"));
        }
        let hash = |h: &[u8]| h.try_into().map_err(|_| format!("last_hash: expected 32 bytes, got {}", h.len()));
        Ok(Meter {
            state: m.state(),
            rate: m.rate,
            last_sequence: m.last_sequence,
            last_hash: (!m.last_hash.is_empty()).then(|| hash(&m.last_hash)).transpose()?,
            paid: digits("paid", &m.paid)?,
            payments: m.payments.iter().map(payment).collect::<Result<_, _>>()?,
        })
    }
}

impl Value for Account {
    fn encode(&self) -> Bytes {
        Value::encode(&wire::Account::from(self))
    }
    fn decode(b: &[u8]) -> Option<Self> {
        Account::try_from(&<wire::Account as Value>::decode(b)?).ok()
    }
}

impl Value for Meter {
    fn encode(&self) -> Bytes {
        Value::encode(&wire::Meter::from(self))
    }
    fn decode(b: &[u8]) -> Option<Self> {
        Meter::try_from(&<wire::Meter as Value>::decode(b)?).ok()
    }
}

// --- small conversions

/// Milliseconds since the epoch, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub u64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = timestamp(self.0);
        prost_types::Timestamp { seconds: t.seconds, nanos: t.nanos }.fmt(f)
    }
}

/// Milliseconds as a timestamp; what is beyond the year 9999, where timestamps end, is shown as its end.
pub fn timestamp(ms: u64) -> Timestamp {
    const LAST: u64 = 253_402_300_799_999;
    let ms = ms.min(LAST);
    Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}

/// A timestamp in milliseconds, what is finer rounded down.
pub fn millis(field: &str, t: &Timestamp) -> Result<u64, String> {
    let wrong = || format!("{field}: expected a time from 1970 to 9999, got {} s and {} ns", t.seconds, t.nanos);
    let seconds = u64::try_from(t.seconds).ok().filter(|s| *s < 253_402_300_800).ok_or_else(wrong)?;
    let nanos = u64::try_from(t.nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(wrong)?;
    Ok(seconds * 1000 + nanos / 1_000_000)
}

pub(crate) fn duration(ms: u64) -> Duration {
    Duration { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 }
}

fn span(field: &str, d: &Duration) -> Result<u64, String> {
    let wrong = || format!("{field}: expected whole milliseconds, from 1 ms to {MAX_SPAN} ms, got {} s and {} ns", d.seconds, d.nanos);
    if !(0..1_000_000_000).contains(&d.nanos) || d.nanos % 1_000_000 != 0 {
        return Err(wrong());
    }
    let ms = d.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(d.nanos) / 1_000_000));
    ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| (1..=MAX_SPAN).contains(ms)).ok_or_else(wrong)
}

/// Whole uve as a coin.
pub fn coin(uve: u64) -> Coin {
    Coin { denom: DENOM.into(), amount: uve.to_string() }
}

fn uve(field: &str, coin: &Coin) -> Result<u64, String> {
    if coin.denom != DENOM {
        return Err(format!("{field}: expected an amount in {DENOM}, got {:?}", coin.denom));
    }
    digits(field, &coin.amount)
}

fn digits<N: std::str::FromStr>(field: &str, text: &str) -> Result<N, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    let number = plain.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("{field}: expected a whole number in decimal digits, got {text:?}"))
}

fn address(field: &str, text: &str) -> Result<Address, String> {
    text.parse().map_err(|e| format!("{field}: {e}"))
}
