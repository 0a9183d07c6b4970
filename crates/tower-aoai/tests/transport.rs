//! The transport over real sockets: what it connects to, sends once, gives up, and goes through.
#![cfg(feature = "transport")]

mod written_log;

use std::{process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{CallContext, Error, ObserveLayer, PrepareLayer, RequestBody, Timeout},
    transport::{Transport, TransportBody, TransportBuilder, TransportFuture},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator, server::Server};

use written_log::WrittenLog;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn direct() -> TransportBuilder {
    Transport::builder().no_proxy()
}

fn get(uri: impl AsRef<str>) -> Request<RequestBody> {
    Request::get(uri.as_ref()).body(RequestBody::default()).expect("a request")
}

async fn text(transport: &Transport, uri: impl AsRef<str>) -> Result<String, Error> {
    let body = transport.clone().oneshot(get(uri)).await?.into_body().collect().await?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// A server whose connections are each served by `serve`; with the number of those that came.
async fn server<F: Future<Output = ()> + Send>(
    serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> (String, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, connections) = mpsc::unbounded_channel();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = sender.send(());
            let serve = Arc::clone(&serve);
            tokio::spawn(async move { serve(stream).await });
        }
    });
    (format!("127.0.0.1:{}", address.port()), connections)
}

/// The head of the next request.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn came(connections: &mut mpsc::UnboundedReceiver<()>) -> usize {
    std::iter::from_fn(|| connections.try_recv().ok()).count()
}

#[test]
fn the_transport_its_future_and_its_body_go_anywhere() {
    fn anywhere<T: Send + Sync + Unpin + 'static>() {}
    fn sendable<T: Send + 'static>() {}
    anywhere::<Transport>();
    anywhere::<TransportBody>();
    sendable::<TransportFuture>();
}

#[tokio::test]
async fn streamed_calls_go_through() {
    let simulator = Simulator::builder()
        .latency(Latency::instant())
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(1_000_000))
        .build();
    let running = Server::local().await.expect("a port").serve(simulator.clone());
    let transport = direct().build().expect("a transport");
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(ObserveLayer::new()).service(transport);
    for _ in 0..2 {
        let uri = format!("{}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", running.url());
        let body = r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":20,"stream":true}"#;
        let request = Request::post(uri).body(Full::<Bytes>::from(body)).expect("a request");
        let response = service.clone().oneshot(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(body.ends_with(b"data: [DONE]\n\n"), "{body:?}");
    }
    assert_eq!(simulator.journal().len(), 2);
    running.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn clones_share_connections() {
    let (address, mut connections) = server(|mut stream| async move {
        while head(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.expect("a reader");
        }
    })
    .await;
    let transport = direct().build().expect("a transport");
    for _ in 0..5 {
        assert_eq!(text(&transport.clone(), format!("http://{address}/")).await.expect("an answer"), "ok");
        // The connection goes back into the pool in a task.
        tokio::task::yield_now().await;
    }
    assert_eq!(came(&mut connections), 1);
}

#[tokio::test]
async fn a_kept_connection_that_its_server_closes_costs_one_attempt_that_is_seen() {
    // Each connection serves one request, and is closed when the next one comes.
    let (address, _connections) = server(|mut stream| async move {
        if head(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.expect("a reader");
        }
        let _ = head(&mut stream).await;
    })
    .await;
    let transport = direct().build().expect("a transport");
    let uri = format!("http://{address}/openai/v1/models");
    text(&transport, &uri).await.expect("an answer");
    tokio::task::yield_now().await;
    let error = text(&transport, &uri).await.expect_err("closed, and not sent again behind the caller's back");
    assert!(matches!(error, Error::Transport(_)), "{error:?}");

    let retry = tower_aoai::retry_after::RetryAfterLayer::default();
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(retry)
        .layer(ObserveLayer::new())
        .service(transport.clone());
    text(&transport, &uri).await.expect("on another connection");
    tokio::task::yield_now().await;
    let mut request = get(&uri);
    let context = CallContext::of(&mut request).clone();
    let response = service.oneshot(request).await.expect("the retry layer sends again");
    assert_eq!((response.status().as_u16(), context.attempt_count()), (200, 2), "and both sends are counted");
}

#[tokio::test]
async fn each_limit_has_its_own_word() {
    let timeout = |result: Result<String, Error>| result.expect_err("too late").timeout();
    let limit = Duration::from_millis(50);
    let (silent, _) = server(|mut stream| async move { while head(&mut stream).await.is_some() {} }).await;
    let (stalling, _) = server(|mut stream| async move {
        while head(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        }
    })
    .await;
    let (silent, stalling) = (format!("http://{silent}/"), format!("http://{stalling}/"));
    let first_byte = direct().first_byte_timeout(limit).build().expect("a transport");
    assert_eq!(timeout(text(&first_byte, &silent).await), Some(Timeout::FirstByte));
    let idle = direct().idle_timeout(limit).build().expect("a transport");
    assert_eq!(timeout(text(&idle, &stalling).await), Some(Timeout::Idle));
    let total = direct().total_timeout(limit).build().expect("a transport");
    assert_eq!(timeout(text(&total, &stalling).await), Some(Timeout::Total));
    // TLS is part of connecting: nobody greets back here.
    let connect = direct().connect_timeout(limit).build().expect("a transport");
    assert_eq!(timeout(text(&connect, silent.replace("http", "https")).await), Some(Timeout::Connect));
}

#[tokio::test]
async fn what_fails_is_a_transport_error_that_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let transport = direct().build().expect("a transport");
    let error = text(&transport, format!("http://{address}/")).await.expect_err("nobody listens");
    let Error::Transport(source) = &error else { panic!("{error:?}") };
    let mut words = source.to_string();
    let mut cause = source.source();
    while let Some(error) = cause {
        words.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(words.to_lowercase().contains("refused"), "{words}");

    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    simulator.script("gpt-4o").then(Scripted::reset());
    let running = Server::local().await.expect("a port").serve(simulator);
    let uri = format!("{}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", running.url());
    let request = Request::post(uri).body(RequestBody::from(r#"{"messages":[]}"#)).expect("a request");
    let error = transport.oneshot(request).await.expect_err("a reset");
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
}

#[tokio::test]
async fn a_dropped_body_closes_its_connection() {
    let (sender, mut closed) = mpsc::unbounded_channel();
    let (address, _connections) = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            if head(&mut stream).await.is_some() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
                let _ = sender.send(stream.read_u8().await.is_err());
            }
        }
    })
    .await;
    let transport = direct().build().expect("a transport");
    let response = transport.oneshot(get(format!("http://{address}/"))).await.expect("a head");
    drop(response);
    assert_eq!(closed.recv().await, Some(true));
}

#[tokio::test]
async fn a_call_that_is_given_up_before_its_answer_closes_its_connection() {
    let (sender, mut closed) = mpsc::unbounded_channel();
    let (address, _connections) = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            if head(&mut stream).await.is_some() {
                let _ = sender.send(false);
                let _ = sender.send(stream.read_u8().await.is_err());
            }
        }
    })
    .await;
    let transport = direct().build().expect("a transport");
    let call = tokio::spawn(transport.oneshot(get(format!("http://{address}/"))));
    assert_eq!(closed.recv().await, Some(false), "it was sent");
    call.abort();
    assert_eq!(closed.recv().await, Some(true));
}

#[tokio::test]
async fn what_is_no_http_fails_one_call_and_not_the_next() {
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (address, mut connections) = server(move |mut stream| {
        let turns = Arc::clone(&turns);
        async move {
            while head(&mut stream).await.is_some() {
                let turn = turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let answer = if turn == 0 { "no answer at all\r\n\r\n" } else { OK };
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let transport = direct().build().expect("a transport");
    let uri = format!("http://{address}/");
    let error = text(&transport, &uri).await.expect_err("that is no HTTP");
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
    assert_eq!(text(&transport, &uri).await.expect("an answer"), "ok");
    assert_eq!(came(&mut connections), 2, "a connection that failed is not used again");
}

#[tokio::test]
async fn trailers_come_through() {
    let (address, _connections) = server(|mut stream| async move {
        if head(&mut stream).await.is_some() {
            let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nok\r\n0\r\nx-end: yes\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let transport = direct().build().expect("a transport");
    let mut request = get(format!("http://{address}/"));
    request.headers_mut().insert("te", "trailers".parse().expect("a value"));
    let body = transport.oneshot(request).await.expect("a head").into_body().collect().await.expect("a body");
    let trailers = body.trailers().expect("trailers");
    assert_eq!(trailers["x-end"], "yes");
    assert_eq!(body.to_bytes(), "ok");
}

/// What came to a proxy first, and then both ways between it and where it was asked to go.
async fn proxy() -> (String, mpsc::UnboundedReceiver<String>) {
    let (sender, asked) = mpsc::unbounded_channel();
    let (address, _) = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let Some(ask) = head(&mut stream).await else { return };
            let target = ask.split(' ').nth(1).unwrap_or_default().to_owned();
            let is_tunnel = ask.starts_with("CONNECT");
            let _ = sender.send(ask);
            if !is_tunnel {
                let _ = stream.write_all(OK.as_bytes()).await;
                return;
            }
            let mut to = TcpStream::connect(target).await.expect("where it leads");
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("a reader");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
        }
    })
    .await;
    (address, asked)
}

/// A server with TLS of its own making that says which protocol was agreed on, with the certificate to trust.
async fn tls_server() -> (String, String) {
    use tokio_rustls::{TlsAcceptor, rustls};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (address, _) = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec).unwrap_or_default();
            if protocol == b"h2" {
                let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(version)))
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                let executor = hyper_util::rt::TokioExecutor::new();
                let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
                return;
            }
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                seen.push(byte);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nHTTP/1.1").await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (address.replace("127.0.0.1", "localhost"), made.cert.pem())
}

#[tokio::test]
async fn the_server_chooses_the_protocol_and_a_certificate_is_believed_only_if_it_is_to_be() {
    let (address, pem) = tls_server().await;
    let uri = format!("https://{address}/");
    let trusting = || direct().trust_pem(pem.clone());
    let transport = trusting().build().expect("a transport");
    assert_eq!(text(&transport, &uri).await.expect("HTTP/2"), "HTTP/2.0");
    let transport = trusting().http1_only().build().expect("a transport");
    assert_eq!(text(&transport, &uri).await.expect("HTTP/1.1"), "HTTP/1.1");
    let transport = direct().build().expect("a transport");
    assert!(matches!(text(&transport, &uri).await, Err(Error::Transport(_))), "nobody vouches for it");
    let refused = direct().trust_pem("no certificate").build().expect_err("no PEM").to_string();
    assert!(refused.contains("PEM"), "{refused}");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_http_is_asked_of_the_proxy() {
    let (address, pem) = tls_server().await;
    let (proxy, mut asked) = proxy().await;
    let through = Transport::builder().trust_pem(pem).proxy(format!("http://user:pass@{proxy}"));
    let transport = through.build().expect("a transport");
    assert_eq!(text(&transport, format!("https://{address}/")).await.expect("an answer"), "HTTP/2.0");
    let ask = asked.recv().await.expect("a tunnel").to_lowercase();
    assert!(ask.starts_with(&format!("connect {address} ")), "{ask}");
    assert!(ask.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{ask}");
    assert_eq!(text(&transport, "http://nowhere.invalid/models").await.expect("an answer"), "ok");
    let ask = asked.recv().await.expect("a request").to_lowercase();
    assert!(ask.starts_with("get http://nowhere.invalid/models "), "{ask}");
    assert!(ask.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{ask}");
}

/// Runs by itself in a process with the variables set, below.
#[tokio::test]
async fn with_the_environment_of_a_proxy() {
    let Ok(named) = std::env::var("TOWER_AOAI_TEST_PROXY_FOR") else { return };
    let transport = Transport::new().expect("a transport");
    let through = text(&transport, "http://nowhere.invalid/").await.map_err(|error| error.to_string());
    assert_eq!(through.as_deref(), Ok("ok"), "through the proxy");
    assert_eq!(text(&transport, named).await.expect("not through the proxy"), "ok");
}

#[tokio::test]
async fn the_proxy_is_taken_from_the_environment_but_where_it_says_no() {
    let (proxy, mut asked) = proxy().await;
    let (address, mut connections) = server(|mut stream| async move {
        if head(&mut stream).await.is_some() {
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "with_the_environment_of_a_proxy"])
        .env("TOWER_AOAI_TEST_PROXY_FOR", format!("http://{address}/"))
        .env("HTTP_PROXY", format!("http://{proxy}"))
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("ALL_PROXY")
        .env_remove("REQUEST_METHOD");
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("a thread").expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(asked.try_recv().expect("asked").starts_with("GET http://nowhere.invalid/ "));
    assert!(asked.try_recv().is_err(), "once");
    assert_eq!(came(&mut connections), 1);
}

#[tokio::test]
async fn the_log_says_which_host_did_not_answer_and_all_of_why_without_what_stands_before_the_host() {
    let log = WrittenLog::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    let transport = direct().build().expect("a transport");
    let uri = format!("http://user:hidden@localhost:{free}/");
    text(&transport, uri).await.expect_err("nobody listens there");
    let log = log.take();
    assert!(log.contains("INFO") && log.contains(r#"host="localhost""#), "{log}");
    assert!(log.contains("client error (Connect)") && log.contains("Connection refused"), "{log}");
    assert!(!log.contains("hidden"), "{log}");
}
