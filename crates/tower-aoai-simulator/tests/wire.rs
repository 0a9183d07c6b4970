//! What only sockets can show: connections that really fail, and a server that really ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tower_aoai_simulator::{
    Deployment, Latency, Scripted, Simulator,
    server::{Running, Server},
};

const SECOND: Duration = Duration::from_secs(1);

async fn start() -> (Running, Simulator) {
    let simulator = Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).build();
    let running = Server::local().await.unwrap().serve(simulator.clone());
    (running, simulator)
}

fn request(stream: bool) -> String {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}],"max_tokens":8,"stream":{stream}}}"#);
    format!(
        "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn send(address: SocketAddr, stream: bool) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request(stream).as_bytes()).await.unwrap();
    socket
}

/// Everything until the end, and how it ended.
async fn read(socket: &mut TcpStream) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    let end = loop {
        match socket.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8(bytes).unwrap(), end)
}

fn was_reset(end: io::Result<()>) -> bool {
    end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset_before_the_head() {
    let (running, simulator) = start().await;
    for stream in [false, true] {
        simulator.script("gpt-4o").then(Scripted::reset());
        let (text, end) = read(&mut send(running.address(), stream).await).await;
        assert_eq!(text, "");
        assert!(was_reset(end));
    }
}

#[tokio::test]
async fn a_cut_is_a_tcp_reset_in_the_middle_of_a_chunk() {
    let (running, simulator) = start().await;
    for events in [0, 1, 5] {
        simulator.script("gpt-4o").then(Scripted::cut_after(events));
        let (text, end) = read(&mut send(running.address(), true).await).await;
        assert!(was_reset(end), "{events}");
        // An event for the filter, one for the role, and one for each token that got through.
        let whole = text.matches("\n\n").count();
        assert_eq!(u64::try_from(whole).unwrap(), 2 + events, "{text}");
        assert!(!text.contains("[DONE]"));
        // The size of the last chunk is announced, but not all of it is there.
        let (_, last) = text.rsplit_once("\n\n\r\n").unwrap();
        let (size, rest) = last.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        assert!(rest.starts_with("data: {\"choices\":[{"), "{rest}");
        assert!(rest.len() < size, "{} of {size}", rest.len());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_cut_inside_its_body() {
    let (running, simulator) = start().await;
    simulator.script("gpt-4o").then(Scripted::cut_after(0));
    let (text, end) = read(&mut send(running.address(), false).await).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(was_reset(end));
}

#[tokio::test]
async fn a_hang_is_a_connection_on_which_nothing_comes() {
    let (running, simulator) = start().await;
    simulator.script("gpt-4o").then(Scripted::hang());
    let mut socket = send(running.address(), false).await;
    let nothing = timeout(Duration::from_millis(50), socket.read_u8()).await;
    assert!(nothing.is_err());
    drop(socket);
    // The server notices who has gone.
    let noticed = async {
        while !simulator.journal()[0].was_cancelled() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(5 * SECOND, noticed).await.unwrap();
}

#[tokio::test]
async fn a_stall_stops_inside_the_body() {
    let (running, simulator) = start().await;
    simulator.script("gpt-4o").then(Scripted::stall_after(2));
    let mut socket = send(running.address(), true).await;
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while let Ok(read) = timeout(Duration::from_millis(100), socket.read(&mut buffer)).await {
        let read = read.unwrap();
        assert!(read > 0, "it ended");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert_eq!(text.matches("\n\n").count(), 4);
}

#[tokio::test]
async fn a_drip_takes_its_time() {
    let (running, simulator) = start().await;
    let gap = Duration::from_millis(2);
    simulator.script("gpt-4o").then(Scripted::drip(64, gap));
    let before = Instant::now();
    let mut socket = send(running.address(), true).await;
    let mut text = String::new();
    while !text.contains("[DONE]") {
        let mut buffer = [0; 4_096];
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(read > 0, "it ended");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    let took = Instant::now().saturating_duration_since(before);
    let pieces = u32::try_from(text.len() / 90).unwrap();
    assert!(took >= gap * pieces / 2, "{took:?} for {} bytes", text.len());
}

#[tokio::test]
async fn a_late_first_token_comes_after_its_head() {
    let (running, simulator) = start().await;
    let late = Scripted::ok().first_token_after(Duration::from_millis(200));
    simulator.script("gpt-4o").then(late);
    let before = Instant::now();
    let mut socket = send(running.address(), true).await;
    let (mut text, mut head_at) = (String::new(), None);
    while !text.contains("[DONE]") {
        let mut buffer = [0; 4_096];
        let read = socket.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        head_at.get_or_insert(Instant::now());
    }
    let took = |at: Instant| at.saturating_duration_since(before);
    assert!(took(head_at.unwrap()) < Duration::from_millis(150));
    assert!(took(Instant::now()) >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let (running, _) = start().await;
    let mut socket = TcpStream::connect(running.address()).await.unwrap();
    for _ in 0..3 {
        socket.write_all(request(true).as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.ends_with("0\r\n\r\n") {
            let mut buffer = [0; 4_096];
            let read = socket.read(&mut buffer).await.unwrap();
            assert!(read > 0, "it ended");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
}

#[tokio::test]
async fn a_shutdown_lets_answers_end_and_then_breaks_them_off() {
    let latency = Latency::instant().first_token(Duration::from_millis(100));
    let simulator = Simulator::builder().deployment(Deployment::unlimited("gpt-4o").latency(latency)).build();
    let running = Server::local().await.unwrap().serve(simulator.clone());
    let address = running.address();
    let mut slow = send(address, true).await;
    simulator.script("gpt-4o").then(Scripted::hang());
    // Whichever of the two arrives first hangs; here the other one, for sure.
    while simulator.journal().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let scripted_first = simulator.journal()[0].scripted;
    let mut other = send(address, true).await;
    while simulator.journal().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = Instant::now();
    running.shutdown(Duration::from_millis(300)).await;
    let took = Instant::now().saturating_duration_since(before);
    assert!(took >= Duration::from_millis(250) && took < 2 * SECOND, "{took:?}");
    if scripted_first {
        std::mem::swap(&mut slow, &mut other);
    }
    let (text, end) = read(&mut slow).await;
    assert!(text.contains("[DONE]"), "{text}");
    end.unwrap();
    let (text, _) = read(&mut other).await;
    assert_eq!(text, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_an_error_until_it_is_free_again() {
    let (running, simulator) = start().await;
    let address = running.address();
    let taken = Server::bind(address).await.unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    // A connection of the first is still in the system's memory.
    let mut socket = send(address, false).await;
    assert_eq!(socket.read_u8().await.unwrap(), b'H');
    running.shutdown(SECOND).await;
    let again = Server::bind(address).await.unwrap().serve(simulator);
    assert_eq!(again.url(), format!("http://{address}"));
}

#[tokio::test]
async fn dropping_the_handle_ends_everything() {
    let (running, simulator) = start().await;
    simulator.script("gpt-4o").then(Scripted::hang());
    let mut socket = send(running.address(), false).await;
    while simulator.journal().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(running);
    let (text, _) = timeout(5 * SECOND, read(&mut socket)).await.unwrap();
    assert_eq!(text, "");
}

#[tokio::test]
async fn what_is_no_http_gets_no_panic() {
    let (running, simulator) = start().await;
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /openai/v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "POST /openai/v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "CONNECT example.com:80 HTTP/1.1\r\nhost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(running.address()).await.unwrap();
        socket.write_all(garbage.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let (text, _) = timeout(5 * SECOND, read(&mut socket)).await.unwrap();
        assert!(!text.starts_with("HTTP/1.1 500"), "{garbage:?}: {text}");
    }
    // It is still there.
    let mut socket = send(running.address(), true).await;
    let mut buffer = [0; 12];
    socket.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
    drop(simulator);
}
