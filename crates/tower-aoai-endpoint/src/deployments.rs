//! From the model that a call names to the deployment that serves it here.

use std::{collections::BTreeMap, sync::Arc};

/// The deployments of one endpoint, by the models they serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deployments {
    by_model: BTreeMap<Arc<str>, Arc<str>>,
    of_every_model: Option<Arc<str>>,
}

/// A model for which the endpoint has no deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoDeployment;

impl Deployments {
    pub(crate) fn set_of_every_model(&mut self, name: Arc<str>) {
        self.of_every_model = Some(name);
    }

    pub(crate) fn insert(&mut self, model: Arc<str>, name: Arc<str>) {
        self.by_model.insert(model, name);
    }

    /// Whether every call keeps the name it came with.
    pub(crate) fn keeps_names(&self) -> bool {
        self.by_model.is_empty() && self.of_every_model.is_none()
    }

    /// The deployment for a call that names `model`; `None` for a call that names none where that does not decide.
    pub(crate) fn find(&self, model: Option<&Arc<str>>) -> Result<Option<Arc<str>>, NoDeployment> {
        let mapped = model.and_then(|model| self.by_model.get(model)).or(self.of_every_model.as_ref());
        match mapped {
            Some(name) => Ok(Some(Arc::clone(name))),
            None if self.by_model.is_empty() => Ok(model.cloned()),
            None => Err(NoDeployment),
        }
    }

    /// The models it knows, as far as an error can name them.
    pub(crate) fn known(&self) -> String {
        const NAMED: usize = 8;
        let named: Vec<&str> = self.by_model.keys().take(NAMED).map(|model| &**model).collect();
        let more = if self.by_model.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", named.join(", "))
    }
}
