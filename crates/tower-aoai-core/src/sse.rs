//! Where the events of a server-sent stream begin and end, and what they say.
//!
//! An incremental scanner in the terms of the WHATWG HTML standard, section "Server-sent events": lines end with LF,
//! CR LF or CR; an empty line ends an event; several `data` lines are joined by LF; lines that begin with a colon are
//! comments; a byte order mark before the first line is ignored. It looks at bytes only, so a frame may end anywhere,
//! also inside a character.
//!
//! It changes nothing and owns nothing of the stream: an event that lies inside one frame, with one `data` line, is
//! lent from that frame without a copy. Only an event that spans frames is copied, and only up to a bound: of a
//! larger one its first [`HEAD`] bytes are kept, enough to see what kind of event it was.

#[cfg(test)]
mod tests;

use memchr::memchr2;

/// The bound on an event's size, in bytes, unless told otherwise.
pub(crate) const EVENT_LIMIT: usize = 1 << 20;

/// What is kept of an event above the bound, in bytes.
pub(crate) const HEAD: usize = 512;

/// The capacity above which the buffer is given back after use.
const KEEP_CAPACITY: usize = 16 << 10;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The value of its last `event` line.
    pub(crate) name: Option<&'a [u8]>,
    /// Its `data` lines, joined.
    pub(crate) data: &'a [u8],
    /// Whether this is all of it; `false` if it was above the bound, and `data` is where it begins.
    pub(crate) whole: bool,
}

/// What lies between two positions of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    /// The end of an event.
    Event(Event<'a>),
    /// Comments, or an empty line more: no event.
    Nothing,
    /// The LF of a CR LF whose CR, at the end of an earlier frame, ended the block before.
    Tail,
}

/// Finds the events in a stream's frames.
#[derive(Debug)]
pub(crate) struct SseScanner {
    limit: usize,
    lines: Lines,
    /// What came of the event under way in earlier frames.
    carry: Vec<u8>,
    /// The event's `data` lines, where there are several.
    joined: Vec<u8>,
    /// Nothing of the event under way has come.
    fresh: bool,
    /// The carry was lent; it is emptied before the next event.
    lent: bool,
    oversized: bool,
    /// The next event is the stream's first: a byte order mark may precede it.
    first: bool,
}

impl SseScanner {
    /// A scanner that keeps at most `limit` bytes (at least 512).
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(HEAD),
            lines: Lines { empty: true, after_cr: false },
            carry: Vec::new(),
            joined: Vec::new(),
            fresh: true,
            lent: false,
            oversized: false,
            first: true,
        }
    }

    /// Whether the event under way is already above the bound.
    pub(crate) fn is_oversized(&self) -> bool {
        self.oversized && !self.lent
    }

    /// The next block that ends inside `frame`, which is looked at from `at`; `at` moves behind it.
    ///
    /// `None`: the rest of the frame belongs to a block that has not ended, and was noted.
    pub(crate) fn next<'a>(&'a mut self, frame: &'a [u8], at: &mut usize) -> Option<Block<'a>> {
        self.forget_lent();
        let rest = frame.get(*at..).filter(|rest| !rest.is_empty())?;
        if self.fresh && self.lines.after_cr && rest.starts_with(b"\n") {
            self.lines.after_cr = false;
            *at += 1;
            return Some(Block::Tail);
        }
        let Some(end) = self.lines.block_end(rest) else {
            self.fresh = false;
            *at = frame.len();
            self.keep(rest);
            return None;
        };
        *at += end;
        self.fresh = true;
        let raw = &rest[..end];
        let raw = if self.carry.is_empty() && raw.len() <= self.limit {
            raw
        } else {
            self.keep(raw);
            self.lent = true;
            &self.carry
        };
        let raw = without_bom(raw, std::mem::take(&mut self.first));
        Some(parse(raw, !self.oversized, &mut self.joined).map_or(Block::Nothing, Block::Event))
    }

    /// The event that the stream's end cut off, if one was under way.
    ///
    /// The standard drops it; here it still tells how the stream ended.
    pub(crate) fn finish(&mut self) -> Option<Event<'_>> {
        self.forget_lent();
        self.fresh = true;
        self.lent = true;
        let raw = without_bom(&self.carry, std::mem::take(&mut self.first));
        parse(raw, !self.oversized, &mut self.joined)
    }

    fn forget_lent(&mut self) {
        if std::mem::take(&mut self.lent) {
            self.oversized = false;
            self.carry.clear();
            if self.carry.capacity() > KEEP_CAPACITY {
                self.carry = Vec::new();
                self.joined = Vec::new();
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if !self.oversized && part.len() > self.limit - self.carry.len() {
            self.oversized = true;
            self.carry.truncate(HEAD);
        }
        let room = if self.oversized { HEAD } else { self.limit } - self.carry.len();
        self.carry.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// Where in a line the stream stands.
#[derive(Debug)]
struct Lines {
    /// The line under way has no byte yet.
    empty: bool,
    /// The byte before was a CR: an LF now belongs to it.
    after_cr: bool,
}

impl Lines {
    /// The position behind the next empty line, with all of its line end that is there.
    fn block_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let &next = rest.first()?;
            if std::mem::take(&mut self.after_cr) && next == b'\n' {
                at += 1;
                continue;
            }
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.empty = false;
                return None;
            };
            let block_ends = length == 0 && self.empty;
            self.empty = true;
            self.after_cr = rest[length] == b'\r';
            at += length + 1;
            if block_ends {
                if self.after_cr && bytes.get(at) == Some(&b'\n') {
                    self.after_cr = false;
                    at += 1;
                }
                return Some(at);
            }
        }
    }
}

fn without_bom(raw: &[u8], first: bool) -> &[u8] {
    raw.strip_prefix(BOM).filter(|_| first).unwrap_or(raw)
}

fn parse<'a>(raw: &'a [u8], whole: bool, joined: &'a mut Vec<u8>) -> Option<Event<'a>> {
    let mut name = None;
    let mut data: Option<&'a [u8]> = None;
    let mut several = false;
    let mut rest = raw;
    while !rest.is_empty() {
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(length);
        rest = behind.strip_prefix(b"\r\n").unwrap_or_else(|| behind.get(1..).unwrap_or_default());
        match field(line) {
            (b"event", value) => name = Some(value),
            (b"data", value) => {
                if let Some(first) = data.filter(|_| !several) {
                    several = true;
                    joined.clear();
                    joined.extend_from_slice(first);
                }
                if several {
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                } else {
                    data = Some(value);
                }
            }
            _ => {}
        }
    }
    let data = if several { joined } else { data? };
    Some(Event { name, data, whole })
}

/// A line's field name and value; a comment's name is empty.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr::memchr(b':', line) else {
        return (line, b"");
    };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}
