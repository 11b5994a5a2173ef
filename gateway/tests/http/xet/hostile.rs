//! Uploads of who lies, forges or leaves: refused, and nothing stays behind.

use std::{sync::atomic::Ordering, time::Duration};

use huddle_gateway::XetOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::{
    Cas, Ticket, answer_json,
    forge::{File, Xorb, frame, header, shard, text},
    hub::WritingHub,
    noise,
};

#[tokio::test]
async fn xorbs_that_lie_are_refused_and_leave_nothing() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let honest = Xorb::new(&[b"first", b"second"]);
    let zeros = vec![0; 128 << 10];
    let bomb = frame(&vec![0; 16 << 20]);
    let chunk =
        |carried: &[u8], compression, unpacked| [&header(carried.len(), compression, unpacked), carried].concat();
    for (what, body) in [
        ("another xorb", Xorb::new(&[b"second", b"first"]).bytes),
        ("nothing", Vec::new()),
        ("a part", honest.bytes[..honest.bytes.len() - 1].to_vec()),
        ("more", [&honest.bytes[..], b"x"].concat()),
        ("a longer chunk than there is", [&header(1000, 0, 1000)[..], b"short"].concat()),
        ("a shorter chunk than it says", chunk(&frame(b"first"), 1, 6)),
        ("a longer chunk than it says", chunk(&frame(b"first"), 1, 4)),
        ("a chunk of 16 MiB", header(100, 1, 0xff_ffff).to_vec()),
        ("a bomb", chunk(&bomb, 1, 128 << 10)),
        ("a grouped bomb", chunk(&bomb, 2, 1)),
        ("64 MiB of zeros and more", chunk(&frame(&zeros), 1, 128 << 10).repeat(513)),
        ("too many chunks", chunk(b"x", 0, 1).repeat(8193)),
        ("an unknown compression", chunk(b"x", 3, 1)),
        ("no frame", chunk(&noise(1, 100), 1, 100)),
    ] {
        let answer = cas.post(&ticket, &format!("/v1/xorbs/default/{}", honest.name()), &body).await;
        assert_eq!(answer.status, 400, "{what}");
        assert!(answer_json(&answer)["error"].is_string(), "{what}");
    }
    cas.wait_until_staged(0).await;
    for name in ["", "x", &honest.name().to_uppercase(), &honest.name()[1..], "..%2F..%2Fetc"] {
        let answer = cas.post(&ticket, &format!("/v1/xorbs/default/{name}"), &honest.bytes).await;
        assert_eq!(answer.status, 404, "{name}");
    }
    assert_eq!(cas.send_xorb(&ticket, &honest).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let cas = Cas::start().await;
    let Ticket { base, token } = cas.upload().await;
    let head = |rest: &str| {
        let host = cas.gateway.address;
        format!("POST {base}{rest}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
            .replace(" HTTP/1.1", &format!(" HTTP/1.1\r\nHost: {host}"))
    };
    let name = text(&[7; 32]);
    let announced = head(&format!("/v1/xorbs/default/{name} HTTP/1.1\r\nContent-Length: 68157441"));
    assert_eq!(cas.gateway.exchange(announced.as_bytes()).await.status, 413);
    // Without a length, what comes is counted.
    let chunked = head(&format!("/v1/xorbs/default/{name} HTTP/1.1\r\nTransfer-Encoding: chunked"));
    let mut stream = TcpStream::connect(cas.gateway.address).await.unwrap();
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let megabyte =
        [&b"100000\r\n"[..], &[&header(65_536, 0, 65_536)[..], &[1; 65_536 - 8]].concat().repeat(16), b"\r\n"];
    let megabyte = megabyte.concat();
    for _ in 0..80 {
        if stream.write_all(&megabyte).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    cas.wait_until_staged(0).await;
}

#[tokio::test]
async fn a_client_that_leaves_leaves_nothing() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[&noise(1, 100_000), &noise(2, 100_000)]);
    let head = format!(
        "POST {}/v1/xorbs/default/{} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        ticket.base,
        xorb.name(),
        ticket.token,
        xorb.bytes.len()
    );
    let mut stream = TcpStream::connect(cas.gateway.address).await.unwrap();
    stream.write_all(&[head.as_bytes(), &xorb.bytes[..150_000]].concat()).await.unwrap();
    cas.wait_until_staged(1).await;
    drop(stream);
    cas.wait_until_staged(0).await;
    // The room it had taken is free again.
    assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_on_its_shard() {
    let cas = Cas::over(WritingHub::new().stalling(), XetOptions::default()).await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[b"a chunk"]);
    cas.send_xorb(&ticket, &xorb).await;
    let shard = shard(&[&File::new(&[(&xorb, 0..1)])]);
    for version in ["v1", "v2"] {
        let head = format!(
            "POST {}/{version}/shards HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            ticket.base,
            ticket.token,
            shard.len()
        );
        let mut stream = TcpStream::connect(cas.gateway.address).await.unwrap();
        stream.write_all(&[head.as_bytes(), &shard].concat()).await.unwrap();
        let count = |wanted: usize| {
            let taking = &cas.hub.taking;
            async move {
                for _ in 0..800 {
                    if taking.load(Ordering::SeqCst) == wanted {
                        return;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
                panic!("{version}: {} are being taken in, not {wanted}", taking.load(Ordering::SeqCst));
            }
        };
        count(1).await;
        drop(stream);
        count(0).await;
    }
}

#[tokio::test]
async fn shards_that_lie_are_refused() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[b"first", b"second", b"third"]);
    cas.send_xorb(&ticket, &xorb).await;
    let file = File::new(&[(&xorb, 0..2), (&xorb, 2..3)]);
    let lie = |change: &dyn Fn(&mut File)| {
        let mut file = file.clone();
        change(&mut file);
        file
    };
    for (what, file) in [
        ("another hash", lie(&|file| file.hash[5] ^= 1)),
        ("another SHA-256", lie(&|file| file.sha256.0[5] ^= 1)),
        ("another proof", lie(&|file| file.terms[0].proof[5] ^= 1)),
        ("another length", lie(&|file| file.terms[1].unpacked += 1)),
        ("an unknown xorb", lie(&|file| file.terms[1].xorb[0] ^= 1)),
        ("chunks that are not there", lie(&|file| file.terms[1].end = 4)),
        ("the most chunks", lie(&|file| file.terms[1].end = u32::MAX)),
        ("no chunks", lie(&|file| file.terms[1].start = 3)),
        ("chunks backwards", lie(&|file| (file.terms[0].start, file.terms[0].end) = (2, 0))),
        ("other chunks", lie(&|file| (file.terms[1].start, file.terms[1].end) = (1, 2))),
        ("a part of it", lie(&|file| file.terms.truncate(1))),
    ] {
        assert_eq!(cas.send_shard(&ticket, &[&file]).await.status, 400, "{what}");
    }
    assert!(cas.hub.taken.lock().unwrap().is_empty());
    assert_eq!(cas.send_shard(&ticket, &[&file]).await.status, 200);
}

#[tokio::test]
async fn shards_that_are_none_are_refused_and_huge_counts_too() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[b"first"]);
    cas.send_xorb(&ticket, &xorb).await;
    let honest = shard(&[&File::new(&[(&xorb, 0..1)])]);
    let mut huge = honest.clone();
    huge[48 + 36..48 + 40].copy_from_slice(&u32::MAX.to_le_bytes());
    let cut = &honest[..honest.len() - 1];
    for version in ["v1", "v2"] {
        for body in [&huge[..], cut, b"", b"no shard", &[0xff; 500]] {
            let answer = cas.post(&ticket, &format!("/{version}/shards"), body).await;
            assert_eq!(answer.status, 400, "{version} {}", body.len());
        }
    }
    assert_eq!(cas.post(&ticket, "/v1/shards", &vec![0; (72 << 20) + 1]).await.status, 413);
}

#[tokio::test]
async fn no_file_is_larger_than_the_quota() {
    let xet = XetOptions { per_token: 66 << 20, ..XetOptions::default() };
    let cas = Cas::over(WritingHub::new(), xet).await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[&[0; 128 << 10]]);
    cas.send_xorb(&ticket, &xorb).await;
    // One chunk, over and over.
    let file = File::new(&(0..600).map(|_| (&xorb, 0..1)).collect::<Vec<_>>());
    assert_eq!(cas.send_shard(&ticket, &[&file]).await.status, 413);
}

#[tokio::test]
async fn forged_and_misused_tickets_are_refused() {
    let cas = Cas::start().await;
    let (honest, other) = (cas.upload().await, Cas::start().await.upload().await);
    let read = cas.gateway.get("/api/models/org/up/xet-read-token/main").await;
    let read = Ticket::read(&read, &cas.gateway);
    let (owner, rest) = honest.token.split_once('-').unwrap();
    let (expires, code) = rest.split_once('-').unwrap();
    let later = u64::from_str_radix(expires, 16).unwrap() + 1;
    let xorb = Xorb::new(&[b"first"]);
    for token in [
        "",
        "-",
        "hf_ada",
        &read.token,
        &other.token,
        &format!("{owner}-{later:x}-{code}"),
        &format!("{}-{expires}-{code}", "0".repeat(32)),
        &format!("{owner}-{expires}-{}", "0".repeat(64)),
    ] {
        let ticket = Ticket { base: honest.base.clone(), token: token.to_owned() };
        assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 401, "{token}");
        assert_eq!(cas.post(&ticket, "/v2/shards", b"").await.status, 401, "{token}");
    }
    for base in ["/cas/up/x", "/cas/up/..%2f..%2fx", &format!("/cas/up/{}", "g".repeat(32))] {
        let ticket = Ticket { base: base.to_owned(), token: honest.token.clone() };
        assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 404, "{base}");
    }
    assert_eq!(cas.staged(), 0);
    assert_eq!(cas.send_xorb(&honest, &xorb).await.status, 200);
}

#[tokio::test]
async fn who_is_slow_to_send_a_shard_keeps_nobody_from_his_turn() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(cas.gateway.address).await.unwrap();
        let head = format!(
            "POST {}/v1/shards HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 5000\r\n\r\nx",
            ticket.base, ticket.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    sleep(Duration::from_millis(200)).await;
    let xorb = Xorb::new(&[b"a chunk"]);
    assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 200);
    let file = File::new(&[(&xorb, 0..1)]);
    let files = [&file];
    let sending = cas.send_shard(&ticket, &files);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), sending).await.expect("a turn").status, 200);
}
