//! A small generator (SplitMix64), so that a seed means the same history for ever.

#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Streams of one seed are independent of each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random(seed ^ stream.rotate_left(32));
        Random(random.bits())
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to n − 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// From a to b, both included.
    pub fn from(&mut self, a: u64, b: u64) -> u64 {
        a + self.below(b - a + 1)
    }

    pub fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    pub fn any<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(self.one(of)) }
    }

    /// An index, as often as its weight says.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut n = self.below(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            match n.checked_sub(*weight) {
                Some(rest) => n = rest,
                None => return i,
            }
        }
        unreachable!("n is below the sum")
    }
}
