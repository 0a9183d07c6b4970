//! The file.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use super::{record::OPENING, with_ending};

/// Where lines are kept.
pub(super) trait Disk: Send {
    /// Adds to the end. After an error nobody knows how much of it is there.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Puts a whole new file in the place of the old one, or leaves the old one as it is.
    fn replace(&mut self, file: &[u8]) -> io::Result<()>;
    /// How large the file is, in bytes.
    fn bytes(&self) -> u64;
}

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    file: fs::File,
    bytes: u64,
}

impl File {
    /// Opens a file to append to it, and begins it if it is empty.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = fs::OpenOptions::new().append(true).create(true).open(path)?;
        let bytes = file.metadata()?.len();
        let mut file = Self { path: path.to_owned(), file, bytes };
        if bytes == 0 {
            file.append(OPENING)?;
        }
        Ok(file)
    }
}

impl Disk for File {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn replace(&mut self, file: &[u8]) -> io::Result<()> {
        let beside = with_ending(&self.path, "new");
        let mut new = fs::File::create(&beside)?;
        new.write_all(file)?;
        // Or a power failure could leave an empty file in the place of a full one.
        new.sync_all()?;
        drop(new);
        fs::rename(&beside, &self.path)?;
        self.file = fs::OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = file.len() as u64;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
