//! The books on disk: appended to by a thread of its own, read back at the start.

mod disk;
mod pipe;
mod record;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{disk::File, writer::Writer};
pub(crate) use self::{pipe::Pipe, record::encode_all};
use crate::{books::Books, ledger::Ledger};

/// An append-only log of what was booked, on disk.
///
/// Every booking is one line with a checksum. Lines wait in a buffer in memory; a thread of std, which ends with the
/// layer's last service and handle, takes what is there every 20 ms and appends it, so that a killed process loses the
/// calls in flight and what ended in the last 100 ms, as far as the disk keeps up. A power failure may lose what the
/// operating system has not written yet. When the file has grown, the same thread writes the sums into a new one and
/// renames it over the old.
///
/// No call ever waits for the disk. Where it is full or slow, the buffer fills up, and what does not fit is
/// [counted](LogStatus::unlogged) and stays in memory; when the disk takes writes again, the file is written anew, and
/// then holds everything.
///
/// **One process for a file.** Two that write the same lose each other's.
///
/// ```
/// use tower_aoai_cost::{CostLayer, CostLog, Query};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("cost.log");
/// let log = CostLog::open(&path)?;
/// if let Some(tear) = log.tear() {
///     eprintln!("{tear}");
/// }
/// let handle = CostLayer::new().log(log)?.handle();
/// println!("{} so far", handle.sum(&Query::total()).cost());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a log does nothing until a layer has it"]
pub struct CostLog {
    file: File,
    ledger: Ledger,
    records: u64,
    tear: Option<Tear>,
    buffer_bytes: usize,
}

/// A log that could not be read to its end: what was written last, when the process was killed or the disk full, or
/// what something else has written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tear {
    /// The log.
    pub path: PathBuf,
    /// The line that cannot be read, from 1; all before it were.
    pub line: u64,
    /// Where it begins, in bytes.
    pub at: u64,
    /// How many bytes were not read.
    pub lost: u64,
    /// Where the file was kept as it was; `None` where that was not possible.
    pub kept_as: Option<PathBuf>,
}

/// How the log fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStatus {
    /// Bytes that wait to be written.
    pub waiting: usize,
    /// Bookings that found the buffer full, or met a disk that took no writes: they are in no file until the next time
    /// it is written anew.
    pub unlogged: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Why the last one failed.
    pub last_failure: Option<Arc<str>>,
    /// How often the file was written anew.
    pub compactions: u64,
    /// The size of the file, in bytes.
    pub file_bytes: u64,
}

/// Bytes that may wait to be written: some ten thousand bookings.
const BUFFER_BYTES: usize = 4 << 20;

impl CostLog {
    /// Reads the log at `path`, or begins one. It reads at once, blocking: at startup.
    ///
    /// A file that cannot be read to its end is read up to there ([`tear`](Self::tear)), kept under the name
    /// `<path>.torn`, and written anew without what could not be read.
    ///
    /// # Errors
    ///
    /// That the file cannot be read or made; or that it is none of these: then it is left as it is.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut ledger = Ledger::unbounded();
        let read = record::read(path, &mut ledger)?;
        let named = |error: io::Error| {
            let what = format!("the cost log {} cannot be written: {error}", path.display());
            io::Error::new(error.kind(), what)
        };
        let mut file = File::open(path).map_err(named)?;
        let mut tear = None;
        if let Some((line, at, lost)) = read.tear {
            let kept_as = with_ending(path, "torn");
            let kept_as = std::fs::copy(path, &kept_as).ok().map(|_| kept_as);
            let torn = Tear { path: path.to_owned(), line, at, lost, kept_as };
            tracing::warn!(target: "tower_aoai::cost", "{torn}");
            disk::Disk::replace(&mut file, &record::encode_ledger(&ledger))?;
            tear = Some(torn);
        }
        Ok(Self { file, ledger, records: read.records, tear, buffer_bytes: BUFFER_BYTES })
    }

    /// The most bytes that may wait to be written. Default 4 MiB.
    pub const fn buffer(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Where, and how much of, the file could not be read.
    #[must_use]
    pub const fn tear(&self) -> Option<&Tear> {
        self.tear.as_ref()
    }

    /// How many lines were read.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Hands what was read to the books, and writes down what they book from now on.
    pub(crate) fn attach(self, books: &Arc<Books>) -> io::Result<()> {
        let pipe = Arc::new(Pipe::new(self.buffer_bytes));
        if !books.set_pipe(Arc::clone(&pipe)) {
            let why = "the layer has a log already: one is written by one layer, and a layer writes one";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let writer = Writer::new(self.file, pipe, Arc::downgrade(books));
        std::thread::Builder::new().name("tower-aoai-cost-log".into()).spawn(move || writer.run())?;
        books.with(|state| {
            let bounds = state.ledger.bounds();
            state.ledger = self.ledger;
            state.ledger.set_bounds(bounds);
            state.accounts.forget();
        });
        Ok(())
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, at, lost, kept_as } = self;
        let path = path.display();
        write!(
            f,
            "the cost log {path} is torn at line {line} (byte {at}): what stands before it was read, {lost} bytes were not"
        )?;
        match kept_as {
            Some(kept) => write!(f, "; the file as it was is {}", kept.display()),
            None => f.write_str("; the file as it was could not be kept"),
        }
    }
}
