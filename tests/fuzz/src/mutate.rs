//! Inputs from inputs: cuts, copies, flips, and values that programs trip over.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// No input grows beyond this.
pub const MAX: usize = 16 << 10;

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211455",
    "115792089237316195423570985008687907853269984665640564039457584007913129639936",
    "0.000000000000000001",
];
const BYTES: [&[u8]; 8] = [
    &[0],
    &[0xff],
    &[0x80],
    &[0xff; 10],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    "\u{1F600}\u{0}".as_bytes(),
    &[0xc0, 0x80],
];

/// Changes an input in a few places. `others` is what pieces are taken from, `words` what the target's language is made of.
pub fn mutate(input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>], words: &[&str]) {
    for _ in 0..rng.gen_range(1..=6) {
        one(input, rng, others, words);
        input.truncate(MAX);
    }
}

fn one(input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>], words: &[&str]) {
    let at = rng.gen_range(0..=input.len());
    let end = (at + rng.gen_range(1..=16)).min(input.len());
    match rng.gen_range(0..9) {
        0 if at < input.len() => input[at] ^= 1 << rng.gen_range(0..8),
        1 if at < input.len() => input[at] = rng.r#gen(),
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            let times = rng.gen_range(1..=32);
            put(input, at, &copy.repeat(times));
        }
        4 => put(input, at, BYTES.choose(rng).expect("some")),
        5 => number(input, rng),
        6 => {
            if let Some(other) = others.choose(rng).filter(|o| !o.is_empty()) {
                let from = rng.gen_range(0..other.len());
                let to = rng.gen_range(from..=other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
        }
        7 => {
            if let Some(word) = words.choose(rng) {
                input.splice(at..end, word.bytes());
            }
        }
        _ => {
            if let Some(word) = words.choose(rng) {
                put(input, at, word.as_bytes());
            }
        }
    }
}

fn put(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

/// Another number in the place of one that is written in digits.
fn number(input: &mut Vec<u8>, rng: &mut StdRng) {
    let starts: Vec<usize> =
        (0..input.len()).filter(|&i| input[i].is_ascii_digit() && (i == 0 || !input[i - 1].is_ascii_digit())).collect();
    if let Some(&start) = starts.choose(rng) {
        let end = (start..input.len()).find(|&i| !input[i].is_ascii_digit()).unwrap_or(input.len());
        input.splice(start..end, number_text(rng).bytes());
    }
}

pub fn number_text(rng: &mut StdRng) -> &'static str {
    NUMBERS.choose(rng).expect("some")
}
