//! A connection that knows whether a proxy is at its other end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project::pin_project;

/// Requests on it that are not in a tunnel name the whole address, where a proxy has to know it.
#[pin_project]
#[derive(Debug)]
pub(super) struct Line<C> {
    #[pin]
    pub(super) inner: C,
    pub(super) is_proxied: bool,
}

impl<C: Connection> Connection for Line<C> {
    fn connected(&self) -> Connected {
        let connected = self.inner.connected();
        if self.is_proxied { connected.proxy(true) } else { connected }
    }
}

impl<C: Read> Read for Line<C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(cx, buffer)
    }
}

impl<C: Write> Write for Line<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, pieces)
    }
}
