//! A socket that can be told to fail.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

const SOUND: u8 = 0;
/// The next write is to be let through by half, then the connection breaks.
const TEARING: u8 = 1;
/// Closed without farewell: by a TCP reset.
const BROKEN: u8 = 2;

/// How a connection's socket is told to fail by what runs on the connection.
#[derive(Debug, Clone)]
pub(super) struct Link(Arc<AtomicU8>);

impl Link {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(SOUND)))
    }

    /// From now on closing the connection resets it.
    pub(super) fn break_off(&self) {
        self.0.store(BROKEN, Ordering::Release);
    }

    /// The next write breaks the connection in its middle.
    pub(super) fn tear(&self) {
        self.0.store(TEARING, Ordering::Release);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Acquire) == state
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    link: Link,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, link: Link) -> Self {
        Self { stream, link }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.link.is(SOUND) {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        if self.link.is(TEARING) {
            self.link.break_off();
            let half = bytes.get(..bytes.len() / 2).unwrap_or(bytes);
            // Whether it gets out or not: the connection ends here.
            let _ = Pin::new(&mut self.stream).poll_write(cx, half);
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.link.is(BROKEN) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.link.is(BROKEN) {
            // Without lingering, what closes the socket resets the connection. Where that cannot
            // be set, the peer sees it closed too early all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}
