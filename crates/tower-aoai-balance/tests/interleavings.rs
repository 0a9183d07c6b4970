//! Calls that begin, are answered, fail, are dropped and read in any order, while gates shut, members drain and time goes
//! by: held to a count kept beside.

use std::{pin::Pin, sync::Arc, task::Poll, time::Duration};

use http::{Request, Response};
use parking_lot::Mutex;
use proptest::{prelude::*, strategy::Strategy as _};
use tokio::{sync::oneshot, time::Instant};
use tokio_test::task::{self, Spawn};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_balance::{BalanceLayer, Member, ResponseBody, Strategy};
use tower_aoai_core::{Admission, CallContext, Error, Timeout};

mod support;

use support::{Gate, NameLayer, Plain, answer, answer_with, chat, name_of};

const NAMES: [&str; 3] = ["a", "b", "c"];

const STRATEGIES: [Strategy; 5] =
    [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::Shuffle, Strategy::Weighted, Strategy::LeastInFlight];

#[derive(Debug, Clone)]
enum Op {
    /// A call begins.
    Call,
    /// The oldest request of those at an endpoint but so many is answered with this, or lost.
    Answer(usize, Option<(u16, bool)>),
    /// One of the callers leaves, or drops its body.
    Leave(usize),
    Wait(u64),
    Shut(usize, Option<u64>),
    Open(usize),
    Drain(usize),
    Resume(usize),
    Reset,
}

fn op() -> impl proptest::strategy::Strategy<Value = Op> {
    let status = prop::sample::select(vec![200, 200, 200, 401, 429, 500, 503]);
    let member = || 0..NAMES.len();
    prop_oneof![
        6 => Just(Op::Call),
        4 => (0usize..9, prop::option::weighted(0.9, (status, any::<bool>()))).prop_map(|(nth, what)| Op::Answer(nth, what)),
        3 => (0usize..9).prop_map(Op::Leave),
        2 => (0u64..90_000).prop_map(Op::Wait),
        1 => (member(), prop::option::of(1u64..20_000)).prop_map(|(member, until)| Op::Shut(member, until)),
        1 => member().prop_map(Op::Open),
        1 => member().prop_map(Op::Drain),
        1 => member().prop_map(Op::Resume),
        1 => Just(Op::Reset),
    ]
}

type Answer = Result<Response<Plain>, Error>;
type Body = ResponseBody<Plain>;
type Calling = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// Requests that reached an endpoint and have no answer.
type AtEndpoints = Arc<Mutex<Vec<(&'static str, oneshot::Sender<Answer>)>>>;

/// What a caller holds.
enum Held {
    Call(Spawn<Calling>),
    Body(Box<Response<Body>>),
}

fn run(ops: Vec<Op>, strategy: Strategy) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let endpoints = AtEndpoints::default();
        let arriving = Arc::clone(&endpoints);
        let leaf = service_fn(move |request: Request<Plain>| {
            let (answer, answered) = oneshot::channel();
            arriving.lock().push((name_of(&request), answer));
            async move { answered.await.unwrap_or(Err(Error::Timeout(Timeout::Total))) }
        });
        let gates = NAMES.map(|_| Gate::open());
        let members = NAMES.iter().zip(&gates).map(|(name, gate)| {
            Member::new(*name).tier(usize::from(*name == "c")).asked(gate.clone()).layer(NameLayer(name))
        });
        let layer = BalanceLayer::new(members).expect("members").strategy(strategy).seed(1);
        let (handle, mut service) = (layer.handle(), layer.layer(leaf));
        let mut held: Vec<Held> = Vec::new();
        let (mut shut, mut draining) = ([None; 3], [false; 3]);
        for op in ops {
            let now = Instant::now();
            match op {
                Op::Call => {
                    let mut request = chat();
                    let context = CallContext::of(&mut request).clone();
                    let before = endpoints.lock().len();
                    let mut call = task::spawn(Box::pin(service.call(request)) as Calling);
                    let usable = |index: usize| !draining[index] && shut[index].is_none();
                    match call.poll() {
                        Poll::Pending => {
                            let chosen = context.served().endpoint.expect("it was sent");
                            let index = NAMES.iter().position(|name| **name == *chosen).expect("a member");
                            assert!(usable(index), "F1: {chosen} takes no calls");
                            assert_eq!(endpoints.lock().len(), before + 1);
                            held.push(Held::Call(call));
                        }
                        Poll::Ready(result) => {
                            assert!(result.is_err_and(|error| error.rejected().is_some()));
                            let snapshot = handle.snapshot();
                            let is_out = |index: &usize| {
                                snapshot.members[*index].out_of_rotation.iter().any(|out| out.until > now)
                            };
                            let all_are_out = (0..3).filter(|&index| !draining[index]).all(|index| is_out(&index));
                            let opens = (0..3).filter(|&index| usable(index));
                            let opens = opens.filter(|index| all_are_out || !is_out(index));
                            // A server's own wait shuts a member, too.
                            let mut opens = opens.map(|index| snapshot.members[index].admission);
                            assert!(opens.all(|admission| matches!(admission, Admission::Shut(_))), "somebody is open");
                        }
                    }
                }
                Op::Answer(nth, what) => {
                    let waiting = endpoints.lock().len();
                    if waiting > 0 {
                        let (_, reply) = endpoints.lock().remove(nth % waiting);
                        let _ = reply.send(match what {
                            None => Err(Error::Transport("reset".into())),
                            Some((429 | 503, true)) => Ok(answer_with(429, "retry-after", "3")),
                            Some((status, _)) => Ok(answer(status)),
                        });
                    }
                    held = held.into_iter().filter_map(poll).collect();
                }
                Op::Leave(nth) => {
                    if !held.is_empty() {
                        drop(held.swap_remove(nth % held.len()));
                    }
                    endpoints.lock().retain(|(_, reply)| !reply.is_closed());
                }
                Op::Wait(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
                Op::Shut(member, until) => {
                    let until = until.map(|until| now + Duration::from_millis(until));
                    shut[member] = Some(());
                    gates[member].set(Admission::Shut(until));
                }
                Op::Open(member) => {
                    shut[member] = None;
                    gates[member].set(Admission::At(now));
                }
                Op::Drain(member) => {
                    draining[member] = true;
                    let _ = handle.drain(NAMES[member]).expect("a member");
                }
                Op::Resume(member) => {
                    draining[member] = false;
                    handle.resume(NAMES[member]).expect("a member");
                }
                Op::Reset => handle.reset(),
            }
            let in_flight: usize = handle.snapshot().members.iter().map(|member| member.in_flight).sum();
            assert_eq!(in_flight, held.len(), "each call that is held counts once, and no other");
        }
        drop(held);
        support::assert_nothing_is_held(&handle, "when all have left");
        drop(service.ready().await);
    });
}

/// Lets a call go on; `None` if it has failed.
fn poll(held: Held) -> Option<Held> {
    match held {
        Held::Body(response) => Some(Held::Body(response)),
        Held::Call(mut call) => match call.poll() {
            Poll::Pending => Some(Held::Call(call)),
            Poll::Ready(result) => result.ok().map(Box::new).map(Held::Body),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn f1_t3_t5_in_any_order_of_events_every_call_is_counted_in_and_out_once(
        ops in prop::collection::vec(op(), 0..80),
        strategy in prop::sample::select(&STRATEGIES[..]),
    ) {
        run(ops, strategy);
    }
}
