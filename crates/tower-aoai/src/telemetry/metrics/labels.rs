//! The label sets.

use std::sync::Arc;

use metrics::{Label, SharedString};
use tower_aoai_core::Operation;

use super::table::Labels;
use crate::telemetry::{
    CallRecord,
    semantic::{PROVIDER, operation_name},
};

/// The name of all those for which there is no room.
pub const OTHER: &str = "other";

/// The longest name that becomes a label, in bytes.
const LONGEST: usize = 128;

/// A name from outside: of an endpoint, a leg, a model; `None` stands for all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name(Option<Arc<str>>);

impl Name {
    const FOLDED: Self = Self(None);

    pub(super) fn of(name: &Arc<str>) -> Self {
        Self((name.len() <= LONGEST).then(|| Arc::clone(name)))
    }

    fn label(&self, key: &'static str) -> Label {
        let value: SharedString = match &self.0 {
            Some(name) => Arc::clone(name).into(),
            None => OTHER.into(),
        };
        Label::new(key, value)
    }
}

impl Labels for Name {
    fn folded(&self) -> Self {
        Self::FOLDED
    }
}

/// Of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OfCall {
    operation: Operation,
    asked: Option<Name>,
    answered: Option<Name>,
    error: Option<&'static str>,
}

impl OfCall {
    pub(super) fn of(record: &CallRecord) -> Self {
        Self {
            operation: record.operation,
            asked: record.asked.as_ref().map(Name::of),
            answered: record.answer_model.as_ref().map(Name::of),
            error: record.ending.error_type(),
        }
    }

    pub(super) fn models(&self) -> Vec<Label> {
        let mut labels = of_operation(self.operation);
        labels.extend(self.asked.as_ref().map(|name| name.label("gen_ai.request.model")));
        labels.extend(self.answered.as_ref().map(|name| name.label("gen_ai.response.model")));
        labels
    }

    pub(super) fn models_and_error(&self) -> Vec<Label> {
        let mut labels = self.models();
        labels.extend(self.error.map(|error| Label::from_static_parts("error.type", error)));
        labels
    }
}

impl Labels for OfCall {
    fn folded(&self) -> Self {
        let fold = |name: &Option<Name>| name.as_ref().map(Name::folded);
        Self { asked: fold(&self.asked), answered: fold(&self.answered), ..*self }
    }
}

/// Of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OfAttempt {
    pub(super) endpoint: Name,
    pub(super) model: Option<Name>,
    pub(super) outcome: &'static str,
}

impl OfAttempt {
    pub(super) fn endpoint(&self) -> Vec<Label> {
        vec![self.endpoint.label("endpoint")]
    }

    pub(super) fn outcome(&self) -> Vec<Label> {
        vec![self.endpoint.label("endpoint"), Label::from_static_parts("outcome", self.outcome)]
    }

    pub(super) fn model(&self) -> Vec<Label> {
        let model = self.model.as_ref().map(|name| name.label("gen_ai.response.model"));
        self.endpoint().into_iter().chain(model).collect()
    }
}

impl Labels for OfAttempt {
    fn folded(&self) -> Self {
        Self { endpoint: Name::FOLDED, model: self.model.as_ref().map(Name::folded), outcome: self.outcome }
    }
}

/// A name, and a word of a fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pair(pub(super) Name, pub(super) &'static str);

impl Pair {
    pub(super) fn labels(&self, name: &'static str, word: &'static str) -> Vec<Label> {
        vec![self.0.label(name), Label::from_static_parts(word, self.1)]
    }
}

impl Labels for Pair {
    fn folded(&self) -> Self {
        Self(Name::FOLDED, self.1)
    }
}

pub(super) fn of_endpoint(name: &Name) -> Vec<Label> {
    vec![name.label("endpoint")]
}

pub(super) fn of_operation(operation: Operation) -> Vec<Label> {
    vec![
        Label::from_static_parts("gen_ai.operation.name", operation_name(operation)),
        Label::from_static_parts("gen_ai.provider.name", PROVIDER),
    ]
}

pub(super) fn with_token_type(mut labels: Vec<Label>, kind: &'static str) -> Vec<Label> {
    labels.push(Label::from_static_parts("gen_ai.token.type", kind));
    labels
}
