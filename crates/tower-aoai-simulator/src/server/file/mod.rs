//! A world from a TOML file: resources, regions, deployments, limits, latency.
//!
//! The file is read as a whole, and everything that is wrong with it is told at once, each mistake
//! with its line, its key, and what would be right. Nothing is taken from the environment. The
//! [sample](SAMPLE) has every key, with comments.
//!
//! ```
//! use tower_aoai_simulator::server::file;
//!
//! let mistakes = file::world(r#"
//! [[resource]]
//! name = "contoso"
//!
//! [[resource.deployment]]
//! name = "gpt-4o"
//! tokens_per_minute = "many"
//! tier = 1
//! "#);
//! assert_eq!(
//!     mistakes.unwrap_err().to_string().lines().next(),
//!     Some("line 7: resource[0].deployment[0].tokens_per_minute: \"many\" is a string; give a whole number, such as 30000"),
//! );
//! ```

mod deployment;
mod mistakes;
mod resource;
mod table;

use toml::de::DeTable;

pub use self::mistakes::{FileMistake, FileMistakes};
use self::{mistakes::Notes, table::Table};
use crate::World;

/// A file with every key there is.
pub const SAMPLE: &str = include_str!("sample.toml");

/// Reads a file's text.
///
/// # Errors
/// Everything that is wrong with it: where it is no TOML, keys it may not or must have, values of
/// a wrong type or out of range, names that are given twice or lead nowhere.
pub fn world(text: &str) -> Result<World, FileMistakes> {
    let notes = Notes::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        notes.note(at, "", error.message());
    }
    // What follows a syntax error is not to be judged.
    notes.ended()?;
    let span = table.span();
    let table = Table::new(&notes, String::new(), span.start, table.get_ref());
    let world = resource::world(&table);
    notes.ended()?;
    Ok(world.build())
}
