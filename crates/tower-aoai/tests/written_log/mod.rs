//! A log that a test reads.
#![allow(unreachable_pub, reason = "each test is a crate of its own")]

use std::{io, mem, sync::Arc};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Debug, Clone, Default)]
pub struct WrittenLog(Arc<Mutex<Vec<u8>>>);

impl WrittenLog {
    /// What was written since this was asked last.
    pub fn take(&self) -> String {
        String::from_utf8_lossy(&mem::take(&mut *self.0.lock())).into_owned()
    }
}

impl io::Write for WrittenLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for WrittenLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
