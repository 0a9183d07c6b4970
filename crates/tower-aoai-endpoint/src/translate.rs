//! From the address of any style to that of one endpoint: what is asked for, where it stands there, and what of the body
//! must change.

use std::{borrow::Cow, sync::Arc};

use http::{
    Request, Uri,
    uri::{Parts, PathAndQuery},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tower_aoai_core::{Address, ApiStyle, Call, Operation, RequestBody};

use crate::{
    BaseUrl,
    base_url::Root,
    deployments::{Deployments, NoDeployment},
    strip::is_query_credential,
    style::Style,
};

/// One endpoint's address.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) base: BaseUrl,
    pub(crate) style: Style,
    pub(crate) deployments: Deployments,
}

/// A request's address at the endpoint.
#[derive(Debug, PartialEq)]
pub(crate) struct Translated {
    pub(crate) uri: Uri,
    /// The deployment, or model, that it is for, if it is for one.
    pub(crate) name: Option<Arc<str>>,
    /// Whether the name is to be written into the body.
    pub(crate) writes_model: bool,
}

/// Why a request cannot be said in the endpoint's way, for the caller to read.
#[derive(Debug, PartialEq)]
pub(crate) struct Untranslatable(pub(crate) String);

/// What Azure has below `deployments/{deployment}/`: exactly these, by its SDKs.
const OF_A_DEPLOYMENT: [&str; 8] = [
    "chat/completions",
    "completions",
    "embeddings",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "images/edits",
];

/// What of it Azure documents for the inference route, too.
const BY_INFERENCE: [&str; 2] = ["chat/completions", "embeddings"];

/// What Azure tolerates as an api-version of its v1 paths.
const V1_VERSIONS: [&str; 3] = ["v1", "preview", "latest"];

/// The bytes of a name that a path takes as they are.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest piece of a caller's text that an error repeats.
const SHOWN: usize = 64;

/// What is asked for, as far as its place in a path depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked<'a> {
    /// One of [`OF_A_DEPLOYMENT`].
    OfDeployment(&'static str),
    /// `responses`, whose model stands in the body in every style.
    Responses,
    /// Anything else below the root: files, batches, a stored response, the list of models.
    OfResource(&'a str),
    /// Something else below a deployment, or below the inference route.
    Own(&'a str),
}

impl Route {
    /// Where the request goes.
    pub(crate) fn translate(&self, request: &Request<RequestBody>, call: &Call) -> Result<Translated, Untranslatable> {
        let address = Address::read(request.uri(), request.headers());
        let asked = asked(&address)?;
        self.check(&address, asked)?;
        let model = match &address.deployment {
            Some(deployment) => Some(Arc::from(&**deployment)),
            None => call.model.clone(),
        };
        let is_for_a_model = match asked {
            Asked::OfDeployment(_) | Asked::Responses => true,
            Asked::Own(_) => address.deployment.is_some(),
            Asked::OfResource(_) => false,
        };
        let in_path =
            matches!(self.style, Style::Classic(_)) && !matches!(asked, Asked::Responses | Asked::OfResource(_));
        let name = if is_for_a_model { self.name(model.as_ref(), in_path, request.body(), call)? } else { None };
        let writes_model =
            !in_path && is_for_a_model && self.writes_model(name.as_ref(), &address, request.body(), call)?;
        let path = self.path(asked, name.as_deref().filter(|_| in_path));
        let uri = self.uri(path, request.uri().query(), &address)?;
        Ok(Translated { uri, name, writes_model })
    }

    /// Whether this endpoint's style has what is asked for.
    fn check(&self, address: &Address<'_>, asked: Asked<'_>) -> Result<(), Untranslatable> {
        let style = self.style.api_style();
        let serves = match (asked, &self.style) {
            (Asked::OfDeployment(words), Style::Inference(_)) => BY_INFERENCE.contains(&words),
            (Asked::OfDeployment(_), _) | (Asked::Responses | Asked::OfResource(_), Style::Classic(_) | Style::V1) => {
                true
            }
            (Asked::Responses | Asked::OfResource(_), Style::Inference(_)) => false,
            (Asked::Own(_), _) => address.style == style,
        };
        if serves {
            return Ok(());
        }
        let here = match style {
            ApiStyle::Classic => "classic paths",
            ApiStyle::V1 => "v1 paths",
            _ => "the inference route",
        };
        let rest = shown(address.rest);
        Err(Untranslatable(format!("{rest:?} has no counterpart in {here}, by which this endpoint is addressed")))
    }

    fn name(
        &self,
        model: Option<&Arc<str>>,
        in_path: bool,
        body: &RequestBody,
        call: &Call,
    ) -> Result<Option<Arc<str>>, Untranslatable> {
        let found = self.deployments.find(model).map_err(|NoDeployment| {
            let known = self.deployments.known();
            Untranslatable(match model {
                Some(model) => format!("it has no deployment of model {:?}, but of: {known}", shown(model)),
                None => format!("the request names no model that can be read; it has deployments of: {known}"),
            })
        });
        let is_lost = |name: &Option<Arc<str>>| in_path && name.as_ref().is_none_or(|name| name.is_empty());
        match found {
            Ok(Some(name)) if in_path && climbs(&name) => Err(Untranslatable(format!(
                "the deployment {:?} climbs out of the path that it stands in: write its name without `.` and `..`",
                shown(&name)
            ))),
            Ok(name) if is_lost(&name) => Err(Untranslatable(
                if body.is_empty() || call.spans.first_member.is_some() {
                    "the request names no model: put a `model` into its body, or its deployment into its path"
                } else {
                    "the request's model stands in a body that is no JSON object, which is not read: give the endpoint \
                     one deployment for every model, or put the deployment into the request's path"
                }
                .to_owned(),
            )),
            found => found,
        }
    }

    /// Whether the body has to be told the name.
    fn writes_model(
        &self,
        name: Option<&Arc<str>>,
        address: &Address<'_>,
        body: &RequestBody,
        call: &Call,
    ) -> Result<bool, Untranslatable> {
        let Some(name) = name.filter(|name| call.model.as_ref() != Some(*name)) else {
            return Ok(false);
        };
        if call.spans.first_member.is_some() {
            return Ok(true);
        }
        if body.is_empty() {
            return Ok(false);
        }
        // A form, most likely: what model it names is not known.
        if address.deployment.is_none() && self.deployments.keeps_names() {
            return Ok(false);
        }
        Err(Untranslatable(format!(
            "model {:?} would have to be written into a body that is no JSON object: use an endpoint with classic paths",
            shown(name)
        )))
    }

    fn path(&self, asked: Asked<'_>, deployment: Option<&str>) -> String {
        match asked {
            Asked::OfDeployment(words) => self.below(deployment, words),
            Asked::Responses => self.below(None, "responses"),
            Asked::OfResource(rest) => self.below(None, rest),
            Asked::Own(rest) => self.below(deployment, rest),
        }
    }

    fn below(&self, deployment: Option<&str>, rest: &str) -> String {
        let prefix = self.base.prefix.as_str();
        match (&self.style, self.base.root) {
            (Style::Classic(_), _) => match deployment {
                Some(name) => {
                    let name = utf8_percent_encode(name, NAME);
                    let slash = if rest.is_empty() { "" } else { "/" };
                    let name = Cow::from(name);
                    [prefix, "/openai/deployments/", &name, slash, rest].concat()
                }
                None => [prefix, "/openai/", rest].concat(),
            },
            (Style::V1, Some(Root::OpenAi)) => [prefix, "/", rest].concat(),
            (Style::V1, Some(Root::Inference)) => [prefix, "/v1/", rest].concat(),
            (Style::V1, _) => [prefix, "/openai/v1/", rest].concat(),
            (Style::Inference(_), _) if self.base.host() == crate::Host::Inference => [prefix, "/", rest].concat(),
            (Style::Inference(_), _) => [prefix, "/models/", rest].concat(),
        }
    }

    fn uri(&self, mut path: String, query: Option<&str>, address: &Address<'_>) -> Result<Uri, Untranslatable> {
        let mut joint = '?';
        let mut push = |pair: &str| {
            path.push(joint);
            path.push_str(pair);
            joint = '&';
        };
        // At Azure, who asks for a preview of v1 gets it.
        let is_azure_v1 = self.style == Style::V1 && !matches!(self.base.root, Some(Root::OpenAi | Root::Inference));
        let keeps_version = is_azure_v1 && address.style == ApiStyle::V1;
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_version = percent_decode_str(key).decode_utf8_lossy().eq_ignore_ascii_case("api-version");
            let is_kept = !is_version || (keeps_version && V1_VERSIONS.contains(&value));
            if !is_query_credential(key) && is_kept {
                push(pair);
            }
        }
        if let Some(version) = self.style.api_version() {
            push("api-version=");
            path.push_str(version);
        }
        let path: PathAndQuery = path.try_into().map_err(|_| Untranslatable("its address is too long".to_owned()))?;
        let mut parts = Parts::default();
        parts.scheme = Some(self.base.scheme.clone());
        parts.authority = Some(self.base.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| Untranslatable("its address cannot be written".to_owned()))
    }
}

fn asked<'a>(address: &Address<'a>) -> Result<Asked<'a>, Untranslatable> {
    let rest = address.rest.trim_end_matches('/');
    if climbs(&percent_decode_str(rest).decode_utf8_lossy()) {
        return Err(Untranslatable(format!("the path {:?} climbs: write it without `.` and `..`", shown(rest))));
    }
    let known = OF_A_DEPLOYMENT.iter().find(|words| rest.eq_ignore_ascii_case(words));
    let of_deployment = |words: &&'static str| Asked::OfDeployment(words);
    match address.style {
        ApiStyle::Classic if address.deployment.is_some() => Ok(known.map_or(Asked::Own(rest), of_deployment)),
        ApiStyle::Inference => Ok(known.map_or(Asked::Own(rest), of_deployment)),
        ApiStyle::Classic | ApiStyle::V1 => Ok(match known {
            Some(words) => Asked::OfDeployment(words),
            None if address.operation == Operation::Responses => Asked::Responses,
            None if rest.eq_ignore_ascii_case("deployments") => Asked::Own(rest),
            None => Asked::OfResource(rest),
        }),
        _ => match (known, address.operation) {
            (Some(words), operation) if operation != Operation::Other => Ok(Asked::OfDeployment(words)),
            (None, Operation::Responses) => Ok(Asked::Responses),
            _ => Err(Untranslatable(format!(
                "the path {:?} is none of Azure OpenAI's: write, for example, /openai/v1/chat/completions",
                shown(rest)
            ))),
        },
    }
}

/// Whether a server that undoes the encoding first would find a step to another directory in it.
fn climbs(decoded: &str) -> bool {
    decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

/// As much of a caller's text as an error may hold.
pub(crate) fn shown(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).nth(SHOWN).unwrap_or(text.len());
    &text[..end]
}
