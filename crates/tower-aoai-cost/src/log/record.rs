//! One booking, or one sum, as a line of text.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    Period, Spend, Tag, Tags,
    ledger::{Entry, Ledger},
    tags::TAGS,
};

/// The first line: what the file is, and how it is to be read.
pub(super) const OPENING: &[u8] = b"tower-aoai cost log 1\n";

/// The longest line that is read: of tags there are 128 bytes each, up to six times as long when escaped.
const LINE_BYTES: u64 = 16 << 10;

/// What a line says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Seconds since 1970.
    at: u64,
    /// Only of the hour, day, … in which that lies; without it, of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Period>,
    /// In the order of [`Tag::ALL`].
    tags: [Option<Arc<str>>; TAGS],
    spend: Spend,
}

/// A booking of a call that began at that second.
pub(crate) fn encode_all(seconds: u64, spent: &[(Tags, Spend)]) -> Vec<Vec<u8>> {
    let encode = |(tags, spend): &(Tags, Spend)| {
        let tags = Tag::ALL.map(|tag| tags.shared(tag).cloned());
        line(&Record { at: seconds, of: None, tags, spend: *spend })
    };
    spent.iter().map(encode).collect()
}

/// All sums.
pub(super) fn encode_ledger(ledger: &Ledger) -> Vec<u8> {
    let mut file = OPENING.to_vec();
    for (span, entry) in ledger.all() {
        let tags = Tag::ALL.map(|tag| {
            let name = ledger.names().name(tag, entry.key[tag.place()]);
            (!name.is_empty()).then_some(name)
        });
        let record = Record { at: span.start_seconds(), of: Some(span.period()), tags, spend: entry.spend };
        file.extend_from_slice(&line(&record));
    }
    file
}

/// The checksum, the record, the end of the line.
fn line(record: &Record) -> Vec<u8> {
    // Numbers and strings alone: it cannot fail.
    let json = serde_json::to_vec(record).unwrap_or_default();
    let mut line = checksum(&json).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    line
}

fn checksum(json: &[u8]) -> String {
    format!("{:08x} ", crc32fast::hash(json))
}

fn parse(line: &[u8]) -> Option<Record> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(9)?;
    (sum == checksum(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

/// What came of reading a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReadLog {
    pub(super) records: u64,
    /// The line from 1, where it begins, how many bytes were not read.
    pub(super) tear: Option<(u64, u64, u64)>,
}

/// Reads a file into the ledger, up to its end or to what cannot be read. No file is an empty one.
pub(super) fn read(path: &Path, ledger: &mut Ledger) -> io::Result<ReadLog> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ReadLog::default()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    read_from(BufReader::new(file), length, ledger).map_err(|error| {
        let what = format!("the cost log {} cannot be read: {error}", path.display());
        io::Error::new(error.kind(), what)
    })
}

pub(super) fn read_from(mut file: impl BufRead, length: u64, ledger: &mut Ledger) -> io::Result<ReadLog> {
    let mut read = ReadLog::default();
    let (mut at, mut number) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = file.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? as u64;
        if bytes == 0 {
            return Ok(read);
        }
        number += 1;
        let is_read =
            if number == 1 { is_opening(&line)? } else { parse(&line).is_some_and(|record| apply(&record, ledger)) };
        if !is_read {
            read.tear = Some((number, at, length.saturating_sub(at)));
            return Ok(read);
        }
        at += bytes;
        read.records += u64::from(number > 1);
    }
}

/// Whether the file begins as it should. What begins otherwise is somebody else's, and is not touched.
fn is_opening(line: &[u8]) -> io::Result<bool> {
    if line == OPENING {
        return Ok(true);
    }
    if OPENING.starts_with(line) {
        return Ok(false);
    }
    let what = "it does not begin with \"tower-aoai cost log 1\": give the path of such a log, or of a new file";
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn apply(record: &Record, ledger: &mut Ledger) -> bool {
    let mut tags = Tags::new();
    for (tag, value) in Tag::ALL.into_iter().zip(&record.tags) {
        tags.set(tag, value.clone());
    }
    let entry = Entry { key: ledger.key(&tags), spend: record.spend };
    match record.of {
        Some(period) => ledger.add(period.of(record.at), &entry),
        None => ledger.book(record.at, &entry),
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Money, query::Query};

    fn spend(nano_dollars: u64) -> Spend {
        let mut spend = Spend { calls: 1, ..Spend::default() };
        spend.estimated.cost = Money::nano_dollars(nano_dollars);
        spend
    }

    fn file(bookings: &[u64]) -> Vec<u8> {
        let mut file = OPENING.to_vec();
        for (place, cost) in bookings.iter().enumerate() {
            let tags = Tags::new().task(format!("task \"{place}\"\n"));
            file.extend(encode_all(place as u64 * 4_000, &[(tags, spend(*cost))]).concat());
        }
        file
    }

    fn read_bytes(file: &[u8]) -> (ReadLog, Ledger) {
        let mut ledger = Ledger::default();
        let read = read_from(file, file.len() as u64, &mut ledger).expect("one of ours");
        (read, ledger)
    }

    fn total(ledger: &Ledger) -> u64 {
        ledger.sum(&Query::total()).cost().as_nano_dollars()
    }

    #[test]
    fn a_file_of_somebody_elses_is_refused() {
        let error = read_from(&b"[[price]]\n"[..], 10, &mut Ledger::default()).unwrap_err();
        assert!(error.to_string().contains("does not begin with"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_anew_reads_the_same(bookings in prop::collection::vec(0_u64..1_000, 0..40)) {
            let (_, first) = read_bytes(&file(&bookings));
            let (read, second) = read_bytes(&encode_ledger(&first));
            prop_assert_eq!(read.tear, None);
            prop_assert_eq!(total(&second), bookings.iter().sum::<u64>());
            for period in Period::ALL {
                for span in first.spans(period) {
                    prop_assert_eq!(first.sum(&Query::of(span)), second.sum(&Query::of(span)));
                    let task = Query::of(span).tag(Tag::Task, "task \"3\"\n");
                    prop_assert_eq!(first.sum(&task), second.sum(&task));
                }
            }
        }

        #[test]
        fn a_torn_file_is_read_up_to_the_tear(bookings in prop::collection::vec(0_u64..1_000, 1..20), cut: prop::sample::Index) {
            let whole = file(&bookings);
            let cut = cut.index(whole.len());
            let (read, ledger) = read_bytes(&whole[..cut]);
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            let kept = lines.saturating_sub(1);
            prop_assert_eq!(total(&ledger), bookings[..kept].iter().sum::<u64>());
            let at = whole[..cut].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let tear = (at < cut).then_some((lines as u64 + 1, at as u64, (cut - at) as u64));
            prop_assert_eq!(read, ReadLog { records: kept as u64, tear });
        }

        #[test]
        fn a_byte_that_has_changed_is_a_tear_and_nothing_panics(
            bookings in prop::collection::vec(0_u64..1_000, 1..10), place: prop::sample::Index, with: u8,
        ) {
            let mut bytes = file(&bookings);
            let place = OPENING.len() + place.index(bytes.len() - OPENING.len());
            let before = std::mem::replace(&mut bytes[place], with);
            let (read, ledger) = read_bytes(&bytes);
            let line = bytes[..place].iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(read.tear.is_none(), before == with);
            if read.tear.is_some() {
                prop_assert_eq!(total(&ledger), bookings[..line - 1].iter().sum::<u64>());
            }
        }
    }
}
