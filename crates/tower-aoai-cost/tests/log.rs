//! The books on disk.

mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, Response};
use support::{COST, Plain, USED, answer, read, small};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{Error, ObserveLayer, PrepareLayer, RequestBody};
use tower_aoai_cost::{Budget, CostHandle, CostLayer, CostLog, Money, Period, Query, Tag, Tags};

const PATIENCE: Duration = Duration::from_secs(10);

fn layer(path: &Path) -> CostLayer {
    CostLayer::new().log(CostLog::open(path).expect("a log")).expect("attached")
}

fn serving(
    layer: &CostLayer,
) -> impl Service<
    Request<Plain>,
    Response = Response<impl http_body::Body<Data = bytes::Bytes, Error = Error> + use<>>,
    Error = Error,
> + Clone
+ use<> {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(service_fn(|_: Request<RequestBody>| async { Ok::<_, Error>(answer(200, USED)) }))
}

async fn calls(layer: &CostLayer, count: usize, agent: &str) {
    let service = serving(layer);
    for _ in 0..count {
        let mut request = small("gpt-4o");
        request.extensions_mut().insert(Tags::new().agent(agent));
        read(service.clone().oneshot(request).await.expect("an answer")).await;
    }
}

fn by_agent(handle: &CostHandle) -> Vec<(String, Money)> {
    let lines = handle.by(&[Tag::Agent], &Query::total());
    lines.into_iter().map(|line| (line.values[0].to_string(), line.spend.cost())).collect()
}

#[tokio::test]
async fn what_was_booked_is_there_after_a_restart_and_budgets_go_on_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cost.log");
    let first = layer(&path);
    calls(&first, 3, "a").await;
    calls(&first, 1, "b \"quoted\"\n").await;
    let handle = first.handle();
    assert!(handle.flush(PATIENCE));
    let before = handle.snapshot();
    assert_eq!(before.log.as_ref().map(|log| (log.waiting, log.unlogged, log.failures)), Some((0, 0, 0)));
    drop((first, handle));

    let log = CostLog::open(&path).expect("a log");
    assert_eq!((log.tear(), log.records()), (None, 4));
    let budget = Budget::new("all", COST.times(5), Period::Total);
    let second = CostLayer::new().budget(budget.enforce()).log(log).expect("attached");
    assert_eq!(second.handle().snapshot().total, before.total);
    assert_eq!(by_agent(&second.handle()), [("a".into(), COST.times(3)), ("b \"quoted\"\n".into(), COST)]);
    assert_eq!(second.handle().snapshot().budgets[0].spent, COST.times(4));
    let hour = Query::of(Period::Hour.at(SystemTime::now()));
    let sums = [Period::Hour, Period::Day, Period::Month].map(|period| second.handle().spans(period).len());
    assert!(sums.iter().all(|spans| *spans >= 1), "{sums:?} {:?}", second.handle().sum(&hour));
}

#[tokio::test]
async fn a_torn_file_is_told_of_read_up_to_the_tear_and_kept_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cost.log");
    let first = layer(&path);
    calls(&first, 5, "a").await;
    assert!(first.handle().flush(PATIENCE));
    drop(first);
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, &whole[..whole.len() - 7]).expect("written");

    let log = CostLog::open(&path).expect("a log");
    let tear = log.tear().expect("a tear").clone();
    assert_eq!((tear.line, log.records()), (6, 4));
    let kept = tear.kept_as.clone().expect("kept");
    assert_eq!(fs::read(kept).expect("a file"), whole[..whole.len() - 7]);
    assert!(tear.to_string().contains("is torn at line 6 (byte "), "{tear}");
    let second = CostLayer::new().log(log).expect("attached");
    calls(&second, 1, "a").await;
    assert!(second.handle().flush(PATIENCE));
    drop(second);
    let third = CostLog::open(&path).expect("a log");
    assert_eq!(third.tear(), None, "it was written anew");
    let third = CostLayer::new().log(third).expect("attached");
    assert_eq!(by_agent(&third.handle()), [("a".into(), COST.times(5))], "of six, one was torn");
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("prices.toml");
    fs::write(&path, "[[price]]\n").expect("written");
    let error = CostLog::open(&path).expect_err("it is none").to_string();
    assert!(error.contains("prices.toml cannot be read: it does not begin with"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "[[price]]\n");
    let error = CostLog::open(folder.path()).expect_err("a folder");
    assert!(!error.to_string().is_empty());
    let error = CostLog::open(folder.path().join("no folder/cost.log")).expect_err("no folder").to_string();
    assert!(error.contains("no folder/cost.log cannot be written"), "{error}");
}

#[tokio::test]
async fn a_second_log_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = layer(&folder.path().join("one"));
    let other = CostLog::open(folder.path().join("two")).expect("a log");
    let error = first.log(other).map(|_| ()).expect_err("one is enough");
    assert!(error.to_string().contains("has a log already"), "{error}");
}

#[tokio::test]
async fn reset_empties_the_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cost.log");
    let first = layer(&path);
    calls(&first, 5, "a").await;
    first.handle().reset();
    assert!(first.handle().flush(PATIENCE));
    calls(&first, 2, "b").await;
    assert!(first.handle().flush(PATIENCE));
    drop(first);
    assert_eq!(by_agent(&layer(&path).handle()), [("b".into(), COST.times(2))]);
}

/// Where this is set, this program is not a test but a spender, who is going to be killed.
const SPENDER: &str = "TOWER_AOAI_COST_TEST_LOG";

/// Spends until it is killed, and says after each call how many have ended, and when.
#[test]
fn spender() {
    let Some(path) = std::env::var_os(SPENDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let layer = layer(Path::new(&path));
        let mut out = std::io::stdout().lock();
        for ended in 1_u64.. {
            calls(&layer, 1, "spender").await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
            // Nobody listens any more: it was killed.
            if writeln!(out, "ended {ended} {now}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
}

#[test]
fn a_process_that_is_killed_loses_no_more_than_its_last_100_ms() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cost.log");
    let mut lost_most = 0;
    let mut before = 0;
    for round in 0..4_u64 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["spender", "--exact", "--nocapture", "--test-threads=1"])
            .env(SPENDER, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let out = child.stdout.take().expect("its output");
        let reader = std::thread::spawn(move || {
            use std::io::BufRead;
            let lines = std::io::BufReader::new(out).lines().map_while(Result::ok);
            lines
                .filter_map(|line| {
                    let mut words = line.split_once("ended ")?.1.split(' ');
                    Some((words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u128>().ok()?))
                })
                .collect::<Vec<_>>()
        });
        // In the middle of its work.
        let wait = Duration::from_millis(400 + 130 * round);
        std::sync::mpsc::channel::<()>().1.recv_timeout(wait).expect_err("nobody sends");
        child.kill().expect("killed");
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        child.wait().expect("gone");
        let said = reader.join().expect("its words");
        let (all, _) = *said.last().expect("it had spent");
        let promised = said.iter().take_while(|(_, at)| at + 100_000 <= killed).last().map_or(0, |(ended, _)| *ended);

        let log = CostLog::open(&path).expect("a log");
        let layer = CostLayer::new().log(log).expect("attached");
        let spend = layer.handle().sum(&Query::total());
        let booked = spend.calls - before;
        assert!(booked >= promised, "of {all} calls {promised} had ended 100 ms before, and {booked} are booked");
        // The last may have ended without a word.
        assert!(booked <= all + 1, "of {all} calls {booked} are booked");
        assert_eq!(spend.exact.cost, COST.times(spend.calls));
        assert!(promised > 20, "it had been at work: {promised}");
        lost_most = lost_most.max(all.saturating_sub(booked));
        before = spend.calls;
        assert!(layer.handle().flush(PATIENCE));
    }
    println!("at most {lost_most} calls lost, of some {before}");
}
