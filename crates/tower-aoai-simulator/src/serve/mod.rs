//! One request, from its arrival to what is to be answered and when.

mod access;
mod decide;
mod spill;
mod write;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use tokio::time::Instant;

use self::decide::{Asked, Decision};
use crate::{
    SimulatedBody,
    answer::{Content, errors::Failure, headers::Ids, refusal::Hint},
    booking::Charge,
    deployment::Deployment,
    draw::Draws,
    journal::{Ending, Served},
    request::{self, Ask, Operation, Route},
    script::Scripted,
    state::Shared,
    ticket::{Settlement, Ticket},
};

/// What becomes of a request.
pub(crate) struct Serving {
    pub(crate) ticket: Ticket,
    /// From the arrival to the head of the answer.
    pub(crate) wait: Duration,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every verdict is an answer")]
pub(crate) enum Verdict {
    Answer(Response<SimulatedBody>),
    Reset,
    Hang,
}

/// What was read of a request.
struct Read {
    route: Option<Route>,
    ask: Result<Ask, Failure>,
}

/// Serves a request that is here with its whole body (`None`: it was too large to read).
pub(crate) fn serve(shared: &Arc<Shared>, parts: &Parts, body: Option<Bytes>, now: Instant) -> Serving {
    let read = read(shared, parts, body);
    let deployment = read.route.as_ref().and_then(|route| route.deployment.clone());
    let index = deployment.as_deref().and_then(|name| shared.find(name));
    let known = index.and_then(|index| shared.config.deployments.get(index));

    let mut state = shared.state.lock();
    let sequence = state.journal.next();
    let mut draws = Draws::of(shared.config.seed, sequence);
    let ids =
        Ids { apim: draws.uuid(), request: draws.uuid(), client: parts.headers.get("x-ms-client-request-id").cloned() };
    let length = completion_length(shared, known, &read, &mut draws);
    let access = access::check(&shared.config, &parts.headers, now);
    let authorised = access.is_ok();
    let named = deployment.as_deref().filter(|_| authorised);
    let region = known.map(|deployment| &*deployment.region);
    let mut scripted = named.and_then(|name| state.scripted(name, region, now, &mut draws));
    // A script may name a deployment that was not built.
    let stand_in =
        named.filter(|_| scripted.is_some()).map(|name| Deployment::unlimited(name).region(&shared.config.region));
    let deployed = known.or(stand_in.as_ref());
    let content = content(&read, scripted.as_ref());
    let mut asked = Asked {
        shared,
        read: &read,
        deployed,
        model: deployed.map(Deployment::facts),
        index,
        access: &access,
        ids: &ids,
        length: content.tokens().unwrap_or(length),
        content: &content,
        filtered_after: scripted.as_ref().and_then(|scripted| scripted.filtered_after),
        quirks: state.quirks(index),
    };
    let mut decided = asked.decide(&mut state, scripted.as_ref(), now, &mut draws);
    let mut spilled_to = None;
    if let Some(target) = spill::target(&asked, &decided.decision, &parts.headers)
        && let Some(other) = shared.config.deployments.get(target)
    {
        let theirs = state.scripted(&other.name, Some(&other.region), now, &mut draws);
        let again = Asked {
            deployed: Some(other),
            model: Some(other.facts()),
            index: Some(target),
            quirks: state.quirks(Some(target)),
            ..asked
        };
        let mut second = again.decide(&mut state, theirs.as_ref(), now, &mut draws);
        decided.spill.error = spill::failed(&second.decision);
        if decided.spill.error.is_none() {
            second.spill.from = deployment.clone();
            spilled_to = Some(Arc::clone(&other.name));
            (asked, decided, scripted) = (again, second, theirs);
        }
    }
    let index = asked.index;
    let operation = read.route.as_ref().map_or(Operation::Unknown, |route| route.operation);
    let (status, hint) = match &decided.decision {
        Decision::Failure(failure, hint) => (Some(failure.status), *hint),
        Decision::Raw(_, hint) => (Some(StatusCode::OK), *hint),
        Decision::Success(_) | Decision::Whole(_) => (Some(StatusCode::OK), Hint::default()),
        Decision::Reset | Decision::Hang => (None, Hint::default()),
    };
    let hint = scripted.as_ref().map_or(hint, |scripted| hint.replaced_by(&scripted.headers));
    let ask = read.ask.as_ref().ok();
    let succeeded = matches!(decided.decision, Decision::Success(_));
    let completion = if succeeded { asked.completion_tokens() } else { 0 };
    state.journal.push(Served {
        sequence,
        deployment,
        operation,
        stream: ask.is_some_and(|ask| ask.stream),
        arrived: now,
        first_byte: None,
        first_content: None,
        ended: None,
        status,
        refused: decided.refused,
        prompt_tokens: ask.map_or(0, |ask| ask.prompt_tokens),
        completion_tokens: completion,
        reserved: decided.reserved,
        retry_hint: hint.told(),
        scripted: scripted.is_some(),
        spilled_to,
        client_request_id: ids.client.clone(),
        ending: Ending::Pending,
    });
    drop(state);
    tracing::trace!(sequence, ?status, refused = ?decided.refused, "simulated request arrived");

    let settlement = index.zip(ask).filter(|_| succeeded).map(|(deployment, ask)| Settlement {
        deployment,
        reserved: decided.reserved,
        used: Charge { prompt: ask.prompt_tokens, cached: ask.cached_tokens, output: completion },
    });
    let ticket = Ticket::new(Arc::clone(shared), sequence, settlement);
    let (wait, verdict) = asked.write(decided, scripted.as_ref(), now, &mut draws);
    Serving { ticket, wait, verdict }
}

fn read(shared: &Shared, parts: &Parts, body: Option<Bytes>) -> Read {
    let route = Route::read(&parts.method, &parts.uri).filter(|_| !shared.config.nowhere);
    let Some(mut route) = route else {
        return Read { route: None, ask: Err(Failure::not_found()) };
    };
    let Some(body) = body else {
        return Read { route: Some(route), ask: Err(Failure::body_too_large()) };
    };
    if route.operation == Operation::Models {
        return Read { route: Some(route), ask: Ok(Ask::default()) };
    }
    let ask = request::object(&body).and_then(|fields| {
        if route.deployment.is_none() {
            route.deployment = Some(request::model(&fields)?);
        }
        let name = route.deployment.as_deref().unwrap_or_default();
        let known = shared.find(name);
        let known = known.and_then(|index| shared.config.deployments.get(index));
        let model = known.map_or(name, |deployment| &*deployment.model);
        request::ask(parts, &route, &fields, &*shared.config.counter, model)
    });
    Read { route: Some(route), ask }
}

/// What the answer says: what is dictated, or the call the request forces, or filler.
fn content(read: &Read, scripted: Option<&Scripted>) -> Content {
    let dictated = scripted.and_then(|scripted| scripted.content.clone());
    let content = dictated.unwrap_or_else(|| {
        let ask = read.ask.as_ref().ok();
        let forced = ask.and_then(|ask| ask.forced_call.clone());
        forced.map_or(Content::Filler, |call| Content::Calls([call].into()))
    });
    let operation = read.route.as_ref().map(|route| route.operation);
    match (&content, operation) {
        // These have no tools.
        (Content::Calls(_), Some(Operation::Completions)) => Content::text(""),
        _ => content,
    }
}

/// Tokens of each choice before any limit: what the request's header says, or a draw. The draw is
/// made in any case, so that a header does not disturb what is drawn after it.
fn completion_length(shared: &Shared, known: Option<&Deployment>, read: &Read, draws: &mut Draws) -> u64 {
    let length = known.and_then(|deployment| deployment.completion_length);
    let drawn = length.unwrap_or(shared.config.completion_length).draw(draws);
    let dictated = read.ask.as_ref().ok().and_then(|ask| ask.completion_tokens);
    // A dictated length is bounded like a drawn one, or a header could ask for terabytes.
    dictated.unwrap_or(drawn).min(1_000_000)
}
