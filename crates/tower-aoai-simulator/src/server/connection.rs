use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower_service::Service;

use super::link::{Link, Socket};
use crate::ConnectionFault;

/// So many connections at a time; further ones wait in the system's queue.
const MOST_CONNECTIONS: usize = 16_384;
/// How long a client may take over a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

type Stop = watch::Receiver<Option<Duration>>;

/// Accepts connections until told to stop, then waits for them as long as it was told.
pub(super) async fn accept(listener: TcpListener, router: Router, mut stop: Stop) {
    let mut connections = JoinSet::new();
    let grace = loop {
        let full = connections.len() >= MOST_CONNECTIONS;
        tokio::select! {
            biased;
            grace = told(&mut stop) => break grace,
            // Yields nothing while there is none, so that the others are awaited.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                // Of one connection, or too many open files: both pass.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
        }
    };
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// How long the connections may take to end, once it is time.
async fn told(stop: &mut Stop) -> Duration {
    match stop.wait_for(Option::is_some).await {
        Ok(grace) => grace.unwrap_or_default(),
        // The handle is gone, and this task with it.
        Err(_) => Duration::ZERO,
    }
}

async fn connection(stream: TcpStream, router: Router, mut stop: Stop) {
    // Events are small and are to leave as they come.
    let _ = stream.set_nodelay(true);
    let link = Link::new();
    let socket = TokioIo::new(Socket::new(stream, link.clone()));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(link.clone());
        let answer = router.clone().call(request);
        let link = link.clone();
        async move { or_break(answer.await, &link) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(socket, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// The answer, unless the connection is to break instead.
fn or_break(answer: Result<Response, Infallible>, link: &Link) -> Result<Response, ConnectionFault> {
    let Ok(response) = answer;
    match response.extensions().get::<ConnectionFault>() {
        Some(fault) => {
            link.break_off();
            Err(*fault)
        }
        None => Ok(response),
    }
}
