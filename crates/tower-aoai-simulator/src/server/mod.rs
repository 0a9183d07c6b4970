//! The simulator over HTTP, on a real socket: with feature `server`.
//!
//! ```
//! use tower_aoai_simulator::{Deployment, Simulator, server::Server};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let simulator = Simulator::builder()
//!     .api_key("secret")
//!     .deployment(Deployment::standard("gpt-4o").tokens_per_minute(30_000))
//!     .build();
//! let running = Server::local().await?.serve(simulator.clone());
//! println!("point an SDK at {}/openai/v1", running.url());
//! // … and look behind it through `simulator`, or over HTTP under `/_simulator`.
//! running.shutdown(std::time::Duration::from_secs(1)).await;
//! # Ok(()) }
//! ```
//!
//! Requests go to a [`World`]'s resources by host, path or default. Beside them there are
//!
//! - `POST /{tenant}/oauth2/v2.0/token`, which grants Bearer tokens to client credentials as
//!   Microsoft Entra ID does, from the world's [issuer](World::issuer);
//! - everything under [`/_simulator`](admin), which scripts faults, changes limits and tells what
//!   was served. Azure has no path that begins so, and a resource cannot have that name.
//!
//! Connections fail for real: a [reset](crate::Scripted::reset) is a TCP reset before the head, a
//! [cut](crate::Scripted::cut_after) one in the middle of a chunk, and a
//! [hang](crate::Scripted::hang) a connection on which nothing comes.

pub mod admin;
mod body;
mod connection;
pub mod file;
mod grant;
mod link;
mod names;

use std::{fmt, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::State, response::Response, routing};
use http::{Request, StatusCode};
use tokio::{
    net::{TcpListener, TcpSocket, ToSocketAddrs},
    sync::watch,
    task::JoinHandle,
};
use tower_service::Service;

use self::{body::WireBody, link::Link};
use crate::World;

/// A socket that listens, before anybody answers on it.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on an address; port 0 is a free one.
    ///
    /// # Errors
    /// Those of binding a socket: the port is taken, the address is not this machine's, …
    ///
    /// # Cancellation
    /// Dropping the future leaves no socket open.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut refused = io::ErrorKind::AddrNotAvailable.into();
        for address in tokio::net::lookup_host(address).await? {
            match listen(address) {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self { listener, address });
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Listens on a free port of the loopback interface.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    ///
    /// # Cancellation
    /// Dropping the future leaves no socket open.
    pub async fn local() -> io::Result<Self> {
        Self::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await
    }

    /// Where it listens, with the port that was found free.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, in the background of the current tokio runtime, until the handle is
    /// [shut down](Running::shutdown) or dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime; there is none of these without one.
    #[must_use = "dropping the handle stops the server"]
    pub fn serve(self, world: impl Into<World>) -> Running {
        let world = world.into();
        let (stop, stopped) = watch::channel(None);
        let router = router(world.clone());
        let task = tokio::spawn(connection::accept(self.listener, router, stopped));
        Running { address: self.address, world, stop, task }
    }
}

/// The usual queue of 128 connections overflows when a test opens a thousand at once, and those
/// that are dropped from it come again only a second later.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const QUEUE: u32 = 4_096;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a port is free again at once after its server has ended. On
    // Windows the option means something else, and is not needed.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// A server that answers. Dropping it stops it at once, with all its connections.
#[must_use = "dropping the handle stops the server"]
pub struct Running {
    address: SocketAddr,
    world: World,
    /// How long connections may take to end, once it is time.
    stop: watch::Sender<Option<Duration>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address, without a slash at the end: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The world it serves.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Accepts no more connections, lets answers under way end for at most `grace`, then breaks
    /// them off. When this returns, no task is left.
    ///
    /// # Cancellation
    /// Dropping the future breaks all connections off at once.
    pub async fn shutdown(mut self, grace: Duration) {
        // Nobody listening means that it is over already.
        let _ = self.stop.send(Some(grace));
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The connections' tasks belong to this one and end with it.
        self.task.abort();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("address", &self.address).field("world", &self.world).finish_non_exhaustive()
    }
}

/// The server's routes, to mount them into a server of one's own. There a connection cannot be
/// made to fail: a reset is answered 502, and a cut ends the body with an error.
pub fn router(world: impl Into<World>) -> Router {
    let world = world.into();
    Router::new()
        .nest("/_simulator", admin::router())
        // A nested router has no path of its own with a slash at the end.
        .route("/_simulator/", routing::get(admin::about))
        .route("/{tenant}/oauth2/v2.0/token", routing::post(grant::grant))
        .fallback(forward)
        .with_state(world)
}

/// Hands a request to the resource it is for.
async fn forward(State(mut world): State<World>, request: Request<Body>) -> Response {
    let link = request.extensions().get::<Link>().cloned();
    match world.call(request).await {
        Ok(response) => response.map(|body| Body::new(WireBody::new(body, link))),
        Err(fault) => {
            let mut response = Response::new(Body::from(fault.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            // Where there is a socket, this becomes the connection's end.
            response.extensions_mut().insert(fault);
            response
        }
    }
}
