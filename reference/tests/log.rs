//! The log: what comes back at recovery, in groups, torn, lost and after a failure.

use bytes::Bytes;
use std::path::Path;
use wireproof_reference::log::{Block, Entry, Item, Log, Range, Recovery};

fn item(record: &str, owner: u64, start: u64, bytes: impl Into<Bytes>) -> Item {
    Item { record: record.into(), block: Some(Block { owner, start, bytes: bytes.into() }) }
}

fn bare(record: &str) -> Item {
    Item { record: record.into(), block: None }
}

fn open(data: &Path, recovery: Option<Recovery>) -> (Log, Vec<String>) {
    let mut records = Vec::new();
    let log = Log::open(data, recovery, |record| {
        records.push(String::from_utf8(record.to_vec()).unwrap());
        Ok(())
    })
    .unwrap();
    (log, records)
}

async fn settle(log: &mut Log) {
    while log.durable() < log.position() {
        log.progress().await.unwrap();
    }
}

fn range(owner: u64, from: u64, to: u64) -> Range {
    Range { owner, from, to }
}

#[tokio::test]
async fn ranges_are_the_same_in_memory_and_in_the_database() {
    let data = tempfile::tempdir().unwrap();
    for mut log in [Log::memory(), open(data.path(), None).0] {
        let long: Vec<u8> = (0..150_000_u32).map(|i| (i % 251) as u8).collect();
        log.append(vec![item("1", 1, 0, "abc"), item("2", 2, 0, long.clone()), bare("3")]).unwrap();
        log.append(vec![item("4", 1, 3, "defgh"), item("5", 2, 150_000, "end")]).unwrap();
        settle(&mut log).await;
        let content = log.content();
        for (from, to) in [(0, 8), (0, 3), (1, 2), (2, 5), (3, 8), (7, 8), (8, 8), (5, 100)] {
            let text = &b"abcdefgh"[from.min(8)..to.min(8)];
            assert_eq!(&*content.read(range(1, from as u64, to as u64)).await.unwrap(), text);
        }
        let all = [&long[..], b"end"].concat();
        for (from, to) in [(0, 150_003), (65_535, 65_537), (65_536, 131_072), (149_999, 150_002)] {
            assert!(content.read(range(2, from as u64, to as u64)).await.unwrap() == all[from..to]);
        }
        assert!(content.read(range(3, 0, 10)).await.unwrap().is_empty());
        // Below the end: what was there is replaced. Only a broken port does this.
        log.append(vec![item("6", 1, 3, "X"), item("7", 1, 4, "Y")]).unwrap();
        settle(&mut log).await;
        assert_eq!(&*content.read(range(1, 0, 8)).await.unwrap(), b"abcXY");
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn recovery_reads_records_in_order_and_groups_are_whole() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, none) = open(data.path(), None);
    assert!(none.is_empty());
    let mut expected = Vec::new();
    for group in 0..50 {
        let records: Vec<String> = (0..=group % 3).map(|i| format!("{group}.{i}")).collect();
        log.append(records.iter().map(|r| bare(r)).collect()).unwrap();
        expected.extend(records);
    }
    // Closing commits what is queued.
    log.close().await.unwrap();
    let (mut log, records) = open(data.path(), None);
    assert_eq!(records, expected);
    assert_eq!(log.durable(), expected.len() as u64);
    log.append(vec![bare("more")]).unwrap();
    settle(&mut log).await;
    // Without order: what is durable is there.
    drop(log);
    assert_eq!(open(data.path(), None).1.last().unwrap(), "more");
}

#[tokio::test]
async fn content_is_removed_with_its_last_lease() {
    let data = tempfile::tempdir().unwrap();
    for mut log in [Log::memory(), open(data.path(), None).0] {
        log.append(vec![item("1", 1, 0, "one"), item("2", 2, 0, "two"), item("3", 3, 0, "three")]).unwrap();
        settle(&mut log).await;
        let content = log.content();
        let (first, second) = (content.lease(1), content.lease(1));
        content.remove(1);
        content.remove(2);
        drop(first);
        // Behind the removal of 2, as the writer takes one thing after the other.
        log.append(vec![bare("4")]).unwrap();
        settle(&mut log).await;
        assert_eq!(&*content.read(range(1, 0, 9)).await.unwrap(), b"one");
        assert!(content.read(range(2, 0, 9)).await.unwrap().is_empty());
        drop(second);
        content.retain(vec![7]);
        for record in ["5", "6"] {
            log.append(vec![bare(record)]).unwrap();
            settle(&mut log).await;
        }
        for owner in [1, 3] {
            assert!(content.read(range(owner, 0, 9)).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_restart_may_lose_tear_and_go_back() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = open(data.path(), None);
    let long = vec![b'x'; 100_000];
    log.append(vec![
        bare("a"),
        item("b", 1, 0, "0123456789"),
        item("c", 1, 10, "lost"),
        item("d", 2, 0, long),
    ])
    .unwrap();
    log.append(vec![bare("e")]).unwrap();
    log.close().await.unwrap();

    let recovery = |mut entries: Vec<Entry>| {
        assert_eq!(entries.iter().map(|e| e.position).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(entries[1].content, Some(range(1, 0, 10)));
        entries.truncate(4);
        entries.remove(2);
        entries[0].record = b"A".to_vec();
        entries[1].content = Some(range(1, 0, 4));
        entries[2].content = Some(range(2, 0, 70_000));
        entries
    };
    let (mut log, records) = open(data.path(), Some(Box::new(recovery)));
    assert_eq!(records, ["A", "b", "d"]);
    assert_eq!(&*log.content().read(range(1, 0, 14)).await.unwrap(), b"0123");
    assert_eq!(log.content().read(range(2, 0, 100_000)).await.unwrap().len(), 70_000);
    log.append(vec![bare("f")]).unwrap();
    log.close().await.unwrap();
    assert_eq!(open(data.path(), None).1, ["A", "b", "d", "f"]);
}

#[tokio::test]
async fn a_failed_commit_ends_the_log_and_says_why() {
    let data = tempfile::tempdir().unwrap();
    let (mut log, _) = open(data.path(), None);
    // Someone else writes this position: the commit fails.
    let other = rusqlite::Connection::open(data.path().join("log.sqlite")).unwrap();
    other.execute("INSERT INTO log (position, record) VALUES (1, x'00')", []).unwrap();
    log.append(vec![bare("never")]).unwrap();
    assert!(log.progress().await.unwrap_err().to_string().contains("UNIQUE"));
    assert_eq!(log.durable(), 0);
    other.pragma_update(None, "user_version", 99).unwrap();
    assert!(Log::open(data.path(), None, |_| Ok(())).is_err());
}
