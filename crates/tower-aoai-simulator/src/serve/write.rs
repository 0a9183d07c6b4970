use std::time::Duration;

use http::{Response, StatusCode, header};
use tokio::time::Instant;

use super::{
    Verdict,
    decide::{Asked, Decided, Decision},
};
use crate::{
    SimulatedBody,
    answer::{Answer, Finish, headers, id_prefix, refusal::Hint, stream::Playback},
    deployment::Quirks,
    draw::Draws,
    latency::{Times, later},
    request::{Ask, Operation},
    script::{Scripted, StreamFault},
};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

impl Asked<'_> {
    /// Writes the answer down: when its head goes out, and what it is.
    pub(super) fn write(
        &self,
        decided: Decided,
        scripted: Option<&Scripted>,
        now: Instant,
        draws: &mut Draws,
    ) -> (Duration, Verdict) {
        let pace = scripted.map(|scripted| scripted.pace).unwrap_or_default();
        let delay = pace.head;
        let latency = self.deployed.and_then(|deployed| deployed.latency.as_ref());
        let latency = latency.unwrap_or(&self.shared.config.latency);
        let refusal = delay.unwrap_or(latency.refusal);
        let mut hint = Hint::default();
        let served = matches!(decided.decision, Decision::Success(_));
        let (wait, status, content_type, body) = match decided.decision {
            Decision::Hang => return (Duration::ZERO, Verdict::Hang),
            Decision::Reset => return (refusal, Verdict::Reset),
            Decision::Failure(failure, told) => {
                hint = told;
                let body = SimulatedBody::whole(failure.body);
                (refusal, failure.status, failure.content_type, body)
            }
            Decision::Whole(body) => (refusal, StatusCode::OK, "application/json", SimulatedBody::whole(body)),
            Decision::Raw(frames, told) => {
                hint = told;
                let playback = Playback::raw(frames, later(now, refusal));
                (refusal, StatusCode::OK, EVENT_STREAM, SimulatedBody::stream(playback))
            }
            Decision::Success(fault) => {
                let Ok(ask) = &self.read.ask else {
                    return (Duration::ZERO, Verdict::Reset);
                };
                let mut times = latency.draw(ask.prompt_tokens, decided.slowness, draws);
                if let Some(number) = ask.pace {
                    // From another seed than answers and ways; what is drawn after it stays as it was.
                    let mut draws = Draws::of(self.shared.config.seed.rotate_left(32), number);
                    times = latency.draw(ask.prompt_tokens, decided.slowness, &mut draws);
                }
                let times = times.paced(pace);
                let (wait, kind, body) = self.success(ask, fault, times, now, draws);
                (wait, StatusCode::OK, kind, body)
            }
        };
        let body = match pace.drip {
            Some((bytes, gap)) => body.drip(bytes, gap, later(now, wait)),
            None => body,
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // Who may not come in learns nothing of what is inside.
        let deployed = self.deployed.filter(|_| self.access.is_ok());
        let region = deployed.map(|deployed| &*deployed.region);
        let name = deployed.map(|deployed| &*deployed.name);
        headers::common(headers, self.ids, region, name);
        headers::set(headers, header::CONTENT_TYPE.as_str(), content_type);
        if deployed.is_some() {
            let Quirks { style, hints } = self.quirks;
            headers::quota(headers, &decided.snapshot, style, hints, decided.refused);
        }
        if let Some(deployed) = deployed.filter(|_| served) {
            headers::served(headers, deployed.annotations);
        }
        headers::hint(headers, hint);
        decided.spill.tell(headers);
        if let Some(scripted) = scripted {
            headers.extend(scripted.headers.clone());
            for name in &scripted.without {
                headers.remove(name);
            }
        }
        (wait, Verdict::Answer(response))
    }

    fn success(
        &self,
        ask: &Ask,
        fault: Option<(u64, StreamFault)>,
        times: Times,
        now: Instant,
        draws: &mut Draws,
    ) -> (Duration, &'static str, SimulatedBody) {
        let operation = self.read.route.as_ref().map_or(Operation::Unknown, |route| route.operation);
        let embeddings = operation == Operation::Embeddings;
        let (tokens, finish) = if embeddings { (0, Finish::Stop) } else { self.choice_tokens(ask) };
        let age = now.saturating_duration_since(self.shared.config.started);
        let answer = Answer {
            operation,
            id: format!("{}{}", id_prefix(operation), draws.hex(32)),
            fingerprint: format!("fp_{}", draws.hex(10)),
            created: self.shared.config.unix_time.saturating_add(age.as_secs()),
            model: self.deployed.map_or_else(String::new, |deployed| deployed.model.to_string()),
            choices: ask.choices,
            tokens,
            content: self.content.clone(),
            finish,
            prompt_tokens: ask.prompt_tokens,
            cached_tokens: ask.cached_tokens,
            annotations: self.deployed.is_some_and(|deployed| deployed.annotations),
            asynchronous_filter: self.deployed.is_some_and(|deployed| deployed.asynchronous_filter),
        };
        if ask.stream {
            let playback = Playback::new(&answer, ask.include_usage, now, times, fault);
            return (times.head, EVENT_STREAM, SimulatedBody::stream(playback));
        }
        let body = match fault {
            Some((_, StreamFault::Cut)) => SimulatedBody::broken(),
            Some((_, StreamFault::Stall)) => SimulatedBody::stream(Playback::stalled(now)),
            _ => SimulatedBody::whole(answer.whole(ask, draws)),
        };
        (times.last(tokens), "application/json", body)
    }
}
