//! Envelopes (`virtengine.encryption.v1.Envelope`): payloads that only their recipients can read, such as the manifest on a lease.
//!
//! ```text
//! plaintext  = field(chain id) ‖ field(lease id) ‖ field(tenant) ‖ payload     field(s) = length as u16 big-endian ‖ s
//! ciphertext = secretbox(plaintext, nonce, data key)                           XSalsa20-Poly1305, random data key
//! sealed_key = box(data key, nonce_i, ephemeral secret_i, recipient key_i)     NaCl box, for each recipient i
//! ```
//!
//! Each recipient's box has an ephemeral key of its own. Lease id is `owner/dseq/gseq/oseq/provider`; the tenant is the
//! lease's owner. Because these lie inside the seal and are checked on opening, an envelope that was copied from
//! someone else's lease does not open on another. There is no forward secrecy: who learns a recipient's secret can open
//! what was sealed to it before.

use std::fmt;

use crypto_box::SalsaBox;
use crypto_box::aead::{Aead, KeyInit};
use crypto_secretbox::XSalsa20Poly1305;
use prost::Message;
use proto::virtengine::base::v1::BidId;
use rand::rngs::OsRng;
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

pub use proto::virtengine::encryption::v1::{Envelope, SealedKey};

use crate::address::{Address, AddressError};
use crate::keys::{RecipientKey, RecipientSecret};

/// The only algorithm, in its canonical spelling.
pub const ALGORITHM: &str = "X25519-XSalsa20-Poly1305";

/// The most recipients of an envelope, as the chain has it: provider and sender, and a few keys that are being rotated.
pub const MAX_RECIPIENTS: usize = 8;

/// Bytes that sealing adds.
const TAG: usize = 16;

/// What `max_envelope_bytes` is on a network that does not say otherwise.
pub const DEFAULT_MAX_BYTES: usize = 64 << 10;

/// The lease that an envelope lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseId {
    pub owner: Address,
    pub dseq: u64,
    pub gseq: u32,
    pub oseq: u32,
    pub provider: Address,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.owner, self.dseq, self.gseq, self.oseq, self.provider)
    }
}

impl TryFrom<&BidId> for LeaseId {
    type Error = AddressError;

    /// # Errors
    /// Owner or provider is no account address.
    fn try_from(id: &BidId) -> Result<Self, AddressError> {
        Ok(Self { owner: id.owner.parse()?, dseq: id.dseq, gseq: id.gseq, oseq: id.oseq, provider: id.provider.parse()? })
    }
}

/// What an envelope is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub chain_id: String,
    pub lease_id: LeaseId,
}

impl Context {
    /// Each sealed field with its name, in order.
    fn fields(&self) -> [(&'static str, String); 3] {
        [("chain id", self.chain_id.clone()), ("lease", self.lease_id.to_string()), ("tenant", self.lease_id.owner.to_string())]
    }
}

/// Why an envelope cannot be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("an envelope needs 1 to {MAX_RECIPIENTS} recipients, got {0}")]
    Recipients(usize),
    #[error("chain id has {0} bytes, expected 1 to 50")]
    ChainId(usize),
    #[error("envelope's algorithm is {0:?}, expected {ALGORITHM:?}")]
    Algorithm(String),
    #[error("envelope is not sealed to the key {0}")]
    NotARecipient(String),
    #[error("envelope's {field} has {found} bytes, expected {expected}")]
    Length { field: &'static str, found: usize, expected: usize },
    #[error("envelope does not decrypt: it is damaged, or not sealed as its fingerprints say")]
    Decrypt,
    #[error("envelope's sealed text does not begin with chain id, lease and tenant")]
    Plaintext,
    #[error("envelope was sealed for the {field} {found:?}, expected {expected:?}")]
    Context { field: &'static str, found: String, expected: String },
}

/// Seals `payload` to `recipients`, bound to `context`.
///
/// # Errors
/// No recipients or too many, a chain id that is none.
pub fn seal(payload: &[u8], context: &Context, recipients: &[RecipientKey]) -> Result<Envelope, EnvelopeError> {
    seal_with(&mut OsRng, payload, context, recipients)
}

fn seal_with(
    rng: &mut (impl CryptoRng + RngCore),
    payload: &[u8],
    context: &Context,
    recipients: &[RecipientKey],
) -> Result<Envelope, EnvelopeError> {
    if !(1..=MAX_RECIPIENTS).contains(&recipients.len()) {
        return Err(EnvelopeError::Recipients(recipients.len()));
    }
    if !(1..=50).contains(&context.chain_id.len()) {
        return Err(EnvelopeError::ChainId(context.chain_id.len()));
    }
    let mut plaintext = Zeroizing::new(Vec::with_capacity(payload.len() + 512));
    for (_, field) in context.fields() {
        let length = u16::try_from(field.len()).expect("chain ids and lease ids are short");
        plaintext.extend(length.to_be_bytes());
        plaintext.extend(field.as_bytes());
    }
    plaintext.extend(payload);

    let mut data_key = Zeroizing::new([0u8; 32]);
    rng.fill_bytes(data_key.as_mut());
    let nonce = random(rng);
    let ciphertext = XSalsa20Poly1305::new(data_key.as_ref().into())
        .encrypt(&nonce.into(), plaintext.as_slice())
        .expect("payloads are far below the cipher's limit");
    let recipients = recipients
        .iter()
        .map(|recipient| {
            let ephemeral = crypto_box::SecretKey::generate(rng);
            let nonce = random(rng);
            let sealed_key = SalsaBox::new(&recipient.to_bytes().into(), &ephemeral)
                .encrypt(&nonce.into(), data_key.as_slice())
                .expect("32 bytes can be sealed");
            SealedKey {
                fingerprint: recipient.fingerprint(),
                ephemeral_public_key: ephemeral.public_key().as_bytes().to_vec(),
                nonce: nonce.to_vec(),
                sealed_key,
            }
        })
        .collect();
    Ok(Envelope { algorithm: ALGORITHM.into(), recipients, nonce: nonce.to_vec(), ciphertext })
}

/// Opens an envelope with one of its recipients' secrets. The payload is returned only if the envelope was sealed for
/// `context`, which is the lease that it was found on.
///
/// # Errors
/// Not sealed to this key, damaged, or sealed for another lease.
pub fn open(envelope: &Envelope, secret: &RecipientSecret, context: &Context) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    if !envelope.algorithm.eq_ignore_ascii_case(ALGORITHM) {
        return Err(EnvelopeError::Algorithm(envelope.algorithm.clone()));
    }
    let fingerprint = secret.public_key().fingerprint();
    let sealed = envelope.recipients.iter().find(|r| r.fingerprint == fingerprint).ok_or(EnvelopeError::NotARecipient(fingerprint))?;

    let ephemeral: [u8; 32] = sized("ephemeral_public_key", &sealed.ephemeral_public_key)?;
    let nonce: [u8; 24] = sized("nonce", &sealed.nonce)?;
    let data_key = SalsaBox::new(&ephemeral.into(), secret.as_box_key())
        .decrypt(&nonce.into(), sealed.sealed_key.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| EnvelopeError::Decrypt)?;
    let data_key: Zeroizing<[u8; 32]> = Zeroizing::new(sized("data key", &data_key)?);
    let nonce: [u8; 24] = sized("nonce", &envelope.nonce)?;
    let plaintext = XSalsa20Poly1305::new(data_key.as_ref().into())
        .decrypt(&nonce.into(), envelope.ciphertext.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| EnvelopeError::Decrypt)?;

    let mut rest = plaintext.as_slice();
    for (field, expected) in context.fields() {
        let (length, tail) = rest.split_first_chunk().ok_or(EnvelopeError::Plaintext)?;
        let (found, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(EnvelopeError::Plaintext)?;
        if found != expected.as_bytes() {
            let found = String::from_utf8_lossy(found).into_owned();
            return Err(EnvelopeError::Context { field, found, expected });
        }
        rest = tail;
    }
    Ok(Zeroizing::new(rest.to_vec()))
}

/// The most bytes that the envelope of a payload has as a message, whatever the chain and the lease of two
/// accounts with keys.
pub fn most_bytes(payload: usize, recipients: usize) -> usize {
    const CHAIN_ID: usize = 50;
    let party = Address::new(&[0; 20]).expect("the length of an account's address");
    let lease_id = LeaseId { owner: party, dseq: u64::MAX, gseq: u32::MAX, oseq: u32::MAX, provider: party };
    let context = Context { chain_id: "-".repeat(CHAIN_ID), lease_id };
    let fields: usize = context.fields().iter().map(|(_, field)| 2 + field.len()).sum();
    let sealed =
        SealedKey { fingerprint: "0".repeat(40), ephemeral_public_key: vec![0; 32], nonce: vec![0; 24], sealed_key: vec![0; 32 + TAG] };
    let ciphertext = vec![0; fields + payload + TAG];
    Envelope { algorithm: ALGORITHM.into(), recipients: vec![sealed; recipients], nonce: vec![0; 24], ciphertext }.encoded_len()
}

fn random(rng: &mut impl RngCore) -> [u8; 24] {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    nonce
}

fn sized<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], EnvelopeError> {
    bytes.try_into().map_err(|_| EnvelopeError::Length { field, found: bytes.len(), expected: N })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{ABANDON, key};
    use serde_json::Value;

    fn secret(index: u32) -> RecipientSecret {
        key(ABANDON, 0, index).recipient_secret()
    }

    fn context() -> Context {
        Context {
            chain_id: "virtengine-localnet-1".into(),
            lease_id: LeaseId { owner: key(ABANDON, 0, 0).address(), dseq: 7, gseq: 1, oseq: 1, provider: key(ABANDON, 0, 1).address() },
        }
    }

    fn sealed() -> Envelope {
        seal(b"secret", &context(), &[secret(0).public_key(), secret(1).public_key()]).unwrap()
    }

    #[test]
    fn every_recipient_opens_and_nobody_else() {
        let envelope = sealed();
        for i in [0, 1] {
            assert_eq!(open(&envelope, &secret(i), &context()).unwrap().as_slice(), b"secret");
        }
        let stranger = secret(2);
        assert_eq!(open(&envelope, &stranger, &context()), Err(EnvelopeError::NotARecipient(stranger.public_key().fingerprint())));
    }

    #[test]
    fn no_envelope_is_longer_than_foretold() {
        let keys: Vec<_> = (0..MAX_RECIPIENTS as u32).map(|i| secret(i).public_key()).collect();
        let mut context = Context { chain_id: "c".repeat(50), ..context() };
        context.lease_id = LeaseId { dseq: u64::MAX, gseq: u32::MAX, oseq: u32::MAX, ..context.lease_id };
        for (payload, recipients) in [(1, 1), (100, 2), (65_000, 2), (200_000, MAX_RECIPIENTS)] {
            let envelope = seal(&vec![7; payload], &context, &keys[..recipients]).unwrap();
            assert_eq!(envelope.encoded_len(), most_bytes(payload, recipients));
        }
    }

    #[test]
    fn an_envelope_on_another_lease_chain_or_tenant_is_refused() {
        let envelope = sealed();
        let moved = |change: &dyn Fn(&mut Context)| {
            let mut c = context();
            change(&mut c);
            open(&envelope, &secret(1), &c).unwrap_err().to_string()
        };
        assert!(moved(&|c| c.chain_id = "other-1".into()).contains("chain id \"virtengine-localnet-1\""));
        for error in [
            moved(&|c| c.lease_id.dseq = 8),
            moved(&|c| c.lease_id.gseq = 2),
            moved(&|c| c.lease_id.oseq = 2),
            moved(&|c| c.lease_id.owner = key(ABANDON, 0, 5).address()),
            moved(&|c| c.lease_id.provider = key(ABANDON, 0, 5).address()),
        ] {
            assert!(error.contains("sealed for the lease"), "{error}");
        }
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let good = sealed();
        let fails = |change: &dyn Fn(&mut Envelope)| {
            let mut envelope = good.clone();
            change(&mut envelope);
            open(&envelope, &secret(0), &context()).is_err()
        };
        for i in 0..good.ciphertext.len() {
            assert!(fails(&|e| e.ciphertext[i] ^= 1));
        }
        for i in 0..48 {
            assert!(fails(&|e| e.recipients[0].sealed_key[i] ^= 1));
        }
        assert!(fails(&|e| e.nonce[0] ^= 1));
        assert!(fails(&|e| e.recipients[0].nonce[0] ^= 1));
        assert!(fails(&|e| e.recipients[0].ephemeral_public_key[0] ^= 1));
        assert!(fails(&|e| e.recipients[0].ephemeral_public_key.clear()));
        assert!(fails(&|e| e.nonce.push(0)));
        assert!(fails(&|e| e.ciphertext.clear()));
        assert!(fails(&|e| e.algorithm = "none".into()));
        assert!(!fails(&|e| e.algorithm.make_ascii_lowercase()));
        assert!(open(&Envelope::default(), &secret(0), &context()).is_err());
    }

    #[test]
    fn nothing_is_reused_between_two_envelopes() {
        let (a, b) = (sealed(), sealed());
        assert_ne!(a.nonce, b.nonce);
        assert_ne!(a.ciphertext, b.ciphertext);
        assert_ne!(a.recipients[0].ephemeral_public_key, a.recipients[1].ephemeral_public_key);
        assert_ne!(a.recipients[0].ephemeral_public_key, b.recipients[0].ephemeral_public_key);
    }

    #[test]
    fn recipients_and_chain_id_are_bounded() {
        let one = secret(0).public_key();
        assert_eq!(seal(b"", &context(), &[]), Err(EnvelopeError::Recipients(0)));
        assert_eq!(seal(b"", &context(), &[one; 9]), Err(EnvelopeError::Recipients(9)));
        let nameless = Context { chain_id: String::new(), ..context() };
        assert_eq!(seal(b"", &nameless, &[one]), Err(EnvelopeError::ChainId(0)));
    }

    /// Gives out the vector's keys and nonces in the order in which sealing draws them.
    struct Tape(std::vec::IntoIter<u8>);

    impl CryptoRng for Tape {}
    impl RngCore for Tape {
        fn next_u32(&mut self) -> u32 {
            rand::RngCore::next_u64(self) as u32
        }
        fn next_u64(&mut self) -> u64 {
            let mut bytes = [0; 8];
            self.fill_bytes(&mut bytes);
            u64::from_le_bytes(bytes)
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            dest.fill_with(|| self.0.next().expect("the tape is long enough"));
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand::Error> {
            self.fill_bytes(dest);
            Ok(())
        }
    }

    /// `testdata/envelope.json` was made by Go's `nacl/box` and `nacl/secretbox`.
    #[test]
    fn the_vector_of_another_implementation_opens_and_is_reproduced() {
        let vector: Value = serde_json::from_str(include_str!("testdata/envelope.json")).unwrap();
        let bytes = |v: &Value| hex::decode(v.as_str().unwrap()).unwrap();
        let text = |v: &Value| v.as_str().unwrap().to_string();
        let e = &vector["envelope"];
        let recipients: Vec<SealedKey> = e["recipients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| SealedKey {
                fingerprint: text(&r["fingerprint"]),
                ephemeral_public_key: bytes(&r["ephemeral_public_key"]),
                nonce: bytes(&r["nonce"]),
                sealed_key: bytes(&r["sealed_key"]),
            })
            .collect();
        let envelope =
            Envelope { algorithm: text(&e["algorithm"]), recipients, nonce: bytes(&e["nonce"]), ciphertext: bytes(&e["ciphertext"]) };
        let payload = text(&vector["payload"]).into_bytes();
        for i in [0, 1] {
            assert_eq!(*open(&envelope, &secret(i), &context()).unwrap(), payload);
        }

        let mut tape = [bytes(&vector["data_key"]), envelope.nonce.clone()].concat();
        for (i, r) in envelope.recipients.iter().enumerate() {
            tape.extend(bytes(&vector["ephemeral_private_keys"][i]));
            tape.extend(&r.nonce);
        }
        let recipients = [secret(1).public_key(), secret(0).public_key()];
        let again = seal_with(&mut Tape(tape.into_iter()), &payload, &context(), &recipients).unwrap();
        assert_eq!(again, envelope);
    }
}
