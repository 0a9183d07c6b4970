//! A table, read key by key.

use std::cell::RefCell;

use toml::de::DeTable;

use super::{
    document::{Document, join},
    nearest,
    node::Node,
};
use crate::config::problem::Problem;

/// A table of the text, while it is being read.
#[derive(Debug)]
pub(crate) struct Table<'d> {
    document: &'d Document<'d>,
    /// Its key from the text's top; empty for the text itself.
    path: String,
    values: &'d DeTable<'d>,
    /// The keys that were asked for: all that it may have.
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    pub(super) fn new(document: &'d Document<'d>, path: String, values: &'d DeTable<'d>) -> Self {
        Self { document, path, values, asked: RefCell::default() }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &'static str) -> Option<Node<'d>> {
        self.asked.borrow_mut().push(key);
        self.document.ask(&self.path, key, self.values.contains_key(key));
        self.entry(key)
    }

    fn entry(&self, key: &str) -> Option<Node<'d>> {
        let (_, value) = self.values.get_key_value(key)?;
        Some(Node::new(self.document, join(&self.path, key), value.span(), value.get_ref()))
    }

    /// All there is, whatever the keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (String, Node<'d>)> {
        let keys = self.values.keys().map(|key| key.get_ref().to_string());
        keys.filter_map(|key| self.entry(&key).map(|node| (key, node)))
    }

    /// Notes what is wrong with a key.
    pub(crate) fn wrong_key(&self, key: &str, message: String) {
        if let Some((key, _)) = self.values.get_key_value(key) {
            self.document.note(Problem::new(join(&self.path, key.get_ref()), message), key.span());
        }
    }

    /// All that it may have has been asked for: notes every key that was not.
    pub(crate) fn done(&self) {
        let asked = self.asked.borrow();
        for name in self.values.keys() {
            let found = &**name.get_ref();
            if asked.contains(&found) {
                continue;
            }
            let key = join(&self.path, found);
            let problem = match nearest(found, asked.iter().copied()) {
                Some(near) => {
                    Problem::new(key, format!("there is no such key; write {near}")).meant(join(&self.path, near))
                }
                None => Problem::new(key, format!("there is no such key here; there are {}", asked.join(", "))),
            };
            self.document.note(problem, name.span());
        }
    }
}
