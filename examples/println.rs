//! `println!` for programs whose reader may go away at any time, as `head` does: std's panics then, this one ends the
//! program, and well.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    process,
};

#[expect(clippy::exit, reason = "nobody is there to be told of anything else")]
pub(crate) fn line(line: Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

macro_rules! println {
    ($($words:tt)*) => {
        $crate::println::line(format_args!($($words)*))
    };
}
