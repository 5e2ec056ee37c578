//! Pages of lists: what a client asks for and what the answer says about the rest.

use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};

/// No answer holds more rows than this, whatever was asked for.
pub const MAX_PAGE: u64 = 1000;
/// Rows that a filtered list looks at before it gives what it has and a key to go on from.
pub(crate) const MAX_EXAMINED: usize = 10_000;
const DEFAULT_PAGE: u64 = 100;

/// A checked page request.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Where to go on, as the last answer's next_key said; empty at the start.
    pub key: Vec<u8>,
    pub offset: u64,
    pub limit: u64,
    pub count_total: bool,
    pub reverse: bool,
}

impl Page {
    /// Defaults and limits as Cosmos SDK's: no request at all means the first page with the total counted.
    pub fn new(request: Option<&PageRequest>) -> Result<Self, String> {
        let Some(r) = request else {
            return Ok(Page { limit: DEFAULT_PAGE, count_total: true, ..Page::default() });
        };
        if r.offset > 0 && !r.key.is_empty() {
            return Err("invalid request, either offset or key is expected, got both".into());
        }
        let (limit, count_total) = match r.limit {
            0 => (DEFAULT_PAGE, true),
            n => (n.min(MAX_PAGE), r.count_total),
        };
        Ok(Page { key: r.key.clone(), offset: r.offset, limit, count_total: count_total && r.key.is_empty(), reverse: r.reverse })
    }

    pub fn response(next_key: Vec<u8>, total: u64) -> PageResponse {
        PageResponse { next_key, total }
    }
}
