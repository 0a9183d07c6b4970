//! Reading a configuration from TOML: a walk over its tables that goes on after a mistake, and remembers where each
//! setting stands.

mod document;
mod lines;
mod node;
mod substitute;
mod table;
mod value;
mod words;

pub(crate) use self::{
    document::{Document, Reading, join},
    node::{Node, TABLE},
    table::Table,
    value::{Key, Read},
    words::{Words, nearest, words},
};
